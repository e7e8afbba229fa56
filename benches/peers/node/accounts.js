// What both peers do with tokens, passwords and the database. They work on a copy of auth-core's own database and keys, so that the same
// token and the same hash are asked of all.
import { createHash, randomUUID, scrypt, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import Database from "better-sqlite3";
import { SignJWT, importPKCS8, importSPKI, jwtVerify } from "jose";

const { DATABASE, PRIVATE_KEY, PUBLIC_KEY, ISSUER } = process.env;
const LIFETIME_SECONDS = 900;
const derive = promisify(scrypt);
const privateKey = await importPKCS8(readFileSync(PRIVATE_KEY, "utf8"), "ES256");
const publicKey = await importSPKI(readFileSync(PUBLIC_KEY, "utf8"), "ES256");

const database = new Database(DATABASE);
database.pragma("journal_mode = WAL");
database.pragma("foreign_keys = ON");
const accountOfSession = database.prepare(
  "SELECT a.id, a.email, a.role FROM sessions s JOIN accounts a ON a.id = s.account_id WHERE s.id = ? AND s.expires_at > ? AND a.disabled = 0",
);
const accountByEmail = database.prepare(
  "SELECT id, email, role, password_hash FROM accounts WHERE email_normal = ? AND disabled = 0",
);
const beginSession = database.prepare(
  "INSERT INTO sessions (id, account_id, family_hash, token_hash, expires_at) VALUES (?, ?, ?, ?, ?)",
);

const now = () => Math.floor(Date.now() / 1000);

/** The account whose token this is; null unless its session lasts. */
export async function me(authorization) {
  const token = (authorization ?? "").replace(/^Bearer /, "");
  const { payload } = await jwtVerify(token, publicKey, {
    algorithms: ["ES256"],
    audience: "authstack",
    issuer: ISSUER,
    clockTolerance: 30,
  });
  return accountOfSession.get(payload.sid, now()) ?? null;
}

/** A new access token, after as many hashes as auth-core computes: one, with the same cost. */
export async function logIn(email, password) {
  const account = accountByEmail.get(email.toLowerCase());
  if (!account || !(await matches(password, account.password_hash))) {
    throw new Error("invalid credentials");
  }
  const session = randomUUID();
  const secret = () => createHash("sha256").update(randomUUID()).digest();
  beginSession.run(session, account.id, secret(), secret(), now() + 86400);
  const accessToken = await new SignJWT({ sid: session, email: account.email, role: account.role })
    .setProtectedHeader({ alg: "ES256" })
    .setIssuer(ISSUER)
    .setAudience("authstack")
    .setSubject(account.id)
    .setJti(randomUUID())
    .setIssuedAt()
    .setExpirationTime(now() + LIFETIME_SECONDS)
    .sign(privateKey);
  return { accessToken };
}

// $scrypt$ln=17,r=8,p=1$SALT$HASH, in base64 without padding.
async function matches(password, phc) {
  const [, , costs, salt, hash] = phc.split("$");
  const { ln, r, p } = Object.fromEntries(costs.split(",").map((cost) => cost.split("=")).map(([name, value]) => [name, Number(value)]));
  const expected = Buffer.from(hash, "base64");
  const found = await derive(password, Buffer.from(salt, "base64"), expected.length, {
    N: 2 ** ln,
    r,
    p,
    maxmem: 256 * 2 ** ln * r,
  });
  return timingSafeEqual(found, expected);
}

export const schema = `
  type Account { id: ID! email: String! role: String! }
  type LoggedIn { accessToken: String! }
  type Query { me: Account }
  type Mutation { logIn(email: String!, password: String!): LoggedIn }
`;

/** Where to listen: the address that the benchmark gives. */
export const [host, port] = process.env.LISTEN.split(":");

/** Tells the benchmark that requests are answered. */
export const ready = () => console.log("ready");
