// The peer of `./dev bench edge`: what many would write in the gateway's place. Prints its address.
const express = require("express");
const jwt = require("jsonwebtoken");

const { PUBLIC_KEY, ISSUER } = process.env;
const app = express();
app.disable("x-powered-by");
app.disable("etag");

app.get("/", (request, response) => {
  const token = (request.headers.authorization ?? "").replace(/^Bearer /, "");
  try {
    const claims = jwt.verify(token, PUBLIC_KEY, {
      algorithms: ["ES256"],
      audience: "authstack",
      issuer: ISSUER,
      clockTolerance: 30,
    });
    response.json({ subject: claims.sub, email: claims.email, role: claims.role });
  } catch (error) {
    response.status(401).json({ message: error.message });
  }
});

const server = app.listen(0, "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${server.address().port}/`);
});
