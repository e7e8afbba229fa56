// A peer of `./dev bench peers`: graphql-yoga, as its own guide begins.
import { createServer } from "node:http";
import { createSchema, createYoga } from "graphql-yoga";
import { host, logIn, me, port, ready, schema } from "./accounts.js";

const yoga = createYoga({
  logging: false,
  maskedErrors: false,
  schema: createSchema({
    typeDefs: schema,
    resolvers: {
      Query: { me: (_, __, context) => me(context.request.headers.get("authorization")) },
      Mutation: { logIn: (_, { email, password }) => logIn(email, password) },
    },
  }),
});
createServer(yoga).listen(Number(port), host, ready);
