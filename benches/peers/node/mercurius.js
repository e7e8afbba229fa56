// A peer of `./dev bench peers`: fastify with mercurius and its JIT, the fastest of Node's.
import Fastify from "fastify";
import mercurius from "mercurius";
import { host, logIn, me, port, ready, schema } from "./accounts.js";

const app = Fastify();
app.register(mercurius, {
  schema,
  jit: 1,
  context: (request) => ({ authorization: request.headers.authorization }),
  resolvers: {
    Query: { me: (_, __, context) => me(context.authorization) },
    Mutation: { logIn: (_, { email, password }) => logIn(email, password) },
  },
});
await app.listen({ host, port: Number(port) });
ready();
