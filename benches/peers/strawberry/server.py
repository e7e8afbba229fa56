"""A peer of `./dev bench peers`: strawberry on uvicorn, with a copy of auth-core's own database and keys."""

import asyncio
import base64
import hashlib
import hmac
import os
import secrets
import sqlite3
import time
import uuid
from pathlib import Path

import jwt
import strawberry
import uvicorn
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from strawberry.asgi import GraphQL

ISSUER = os.environ["ISSUER"]
LIFETIME_SECONDS = 900
private_key = load_pem_private_key(Path(os.environ["PRIVATE_KEY"]).read_bytes(), None)
public_key = load_pem_public_key(Path(os.environ["PUBLIC_KEY"]).read_bytes())
database = sqlite3.connect(os.environ["DATABASE"], isolation_level=None)
database.execute("PRAGMA journal_mode = WAL")
database.execute("PRAGMA foreign_keys = ON")


def matches(password: str, phc: str) -> bool:
    """$scrypt$ln=17,r=8,p=1$SALT$HASH, in base64 without padding."""
    _, _, costs, salt, expected = phc.split("$")
    cost = {name: int(value) for name, value in (cost.split("=") for cost in costs.split(","))}
    decode = lambda text: base64.b64decode(text + "=" * (-len(text) % 4))  # noqa: E731
    n = 2 ** cost["ln"]
    found = hashlib.scrypt(
        password.encode(),
        salt=decode(salt),
        n=n,
        r=cost["r"],
        p=cost["p"],
        maxmem=256 * n * cost["r"],
        dklen=len(decode(expected)),
    )
    return hmac.compare_digest(found, decode(expected))


@strawberry.type
class Account:
    id: strawberry.ID
    email: str
    role: str


@strawberry.type
class LoggedIn:
    access_token: str


@strawberry.type
class Query:
    @strawberry.field
    def me(self, info: strawberry.Info) -> Account | None:
        token = info.context["request"].headers.get("authorization", "").removeprefix("Bearer ")
        claims = jwt.decode(token, public_key, ["ES256"], audience="authstack", issuer=ISSUER, leeway=30)
        row = database.execute(
            "SELECT a.id, a.email, a.role FROM sessions s JOIN accounts a ON a.id = s.account_id"
            " WHERE s.id = ? AND s.expires_at > ? AND a.disabled = 0",
            (claims["sid"], int(time.time())),
        ).fetchone()
        return Account(id=row[0], email=row[1], role=row[2]) if row else None


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def log_in(self, email: str, password: str) -> LoggedIn:
        account, email, role, phc = database.execute(
            "SELECT id, email, role, password_hash FROM accounts WHERE email_normal = ? AND disabled = 0", (email.lower(),)
        ).fetchone()
        # hashlib lets go of the interpreter's lock, so hashes run beside each other.
        if not await asyncio.to_thread(matches, password, phc):
            raise ValueError("invalid credentials")
        now, session = int(time.time()), str(uuid.uuid4())
        database.execute(
            "INSERT INTO sessions (id, account_id, family_hash, token_hash, expires_at) VALUES (?, ?, ?, ?, ?)",
            (session, account, secrets.token_bytes(32), secrets.token_bytes(32), now + 86400),
        )
        claims = {"iss": ISSUER, "aud": "authstack", "sub": account, "sid": session, "email": email, "role": role}
        claims |= {"iat": now, "exp": now + LIFETIME_SECONDS, "jti": str(uuid.uuid4())}
        return LoggedIn(access_token=jwt.encode(claims, private_key, "ES256"))


class Server(uvicorn.Server):
    async def startup(self, sockets: list | None = None) -> None:
        await super().startup(sockets)
        print("ready", flush=True)


host, port = os.environ["LISTEN"].split(":")
app = GraphQL(strawberry.Schema(query=Query, mutation=Mutation))
Server(uvicorn.Config(app, host=host, port=int(port), log_level="error", access_log=False)).run()
