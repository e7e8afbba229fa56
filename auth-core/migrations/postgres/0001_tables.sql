-- email is shown as the user typed it; email_normal (lower case) decides who already has an account. Not 0 in disabled: disabled by the operator.
CREATE TABLE accounts (
    id            TEXT    NOT NULL PRIMARY KEY,
    email         TEXT    NOT NULL,
    email_normal  TEXT    NOT NULL UNIQUE,
    password_hash TEXT    NOT NULL,
    role          TEXT    NOT NULL,
    created_at    BIGINT  NOT NULL,
    disabled      BIGINT  NOT NULL DEFAULT 0
);

-- A session begins with a log-in and has one refresh token that is good, its newest. family_hash is what all its tokens have in common.
CREATE TABLE sessions (
    id          TEXT    NOT NULL PRIMARY KEY,
    account_id  TEXT    NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    family_hash BYTEA   NOT NULL UNIQUE,
    token_hash  BYTEA   NOT NULL,
    expires_at  BIGINT  NOT NULL
);

CREATE INDEX sessions_account_id ON sessions (account_id);
CREATE INDEX sessions_expires_at ON sessions (expires_at);

-- Wrong passwords in a row, by e-mail (in lower case), whether it has an account or not. A right password ends the row, as do 24 h without a wrong one.
CREATE TABLE failed_log_ins (
    email_normal TEXT    NOT NULL PRIMARY KEY,
    failures     BIGINT  NOT NULL,
    last_at      BIGINT  NOT NULL
);

CREATE INDEX failed_log_ins_last_at ON failed_log_ins (last_at);

-- One row for each mutation that carried an Idempotency-Key and changed something, written in the transaction of the change. session_id is the
-- session that its answer began or carried on, and the row ends with it. by_refresh is 1 where the session's next refresh ends the row, too.
CREATE TABLE idempotency_keys (
    key_hash    BYTEA   NOT NULL PRIMARY KEY,
    request_tag BYTEA   NOT NULL,
    session_id  TEXT    REFERENCES sessions (id) ON DELETE CASCADE,
    by_refresh  BIGINT  NOT NULL,
    created_at  BIGINT  NOT NULL
);

CREATE INDEX idempotency_keys_session_id ON idempotency_keys (session_id);
CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at);

-- Tokens by which somebody replaces a password that they have lost, one for an account. token_hash is SHA-256 of the token.
CREATE TABLE password_resets (
    token_hash BYTEA NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL UNIQUE REFERENCES accounts (id) ON DELETE CASCADE,
    expires_at BIGINT NOT NULL
);

CREATE INDEX password_resets_expires_at ON password_resets (expires_at);

-- Keys of machines. digest is SHA-256 of a key, in lower-case hexadecimal; scopes are routes of the gateway, with a space between two.
CREATE TABLE api_keys (
    name       TEXT    NOT NULL PRIMARY KEY,
    digest     TEXT    NOT NULL UNIQUE,
    scopes     TEXT    NOT NULL,
    created_at BIGINT  NOT NULL
);

-- The audit stream: what happened, in the transaction in which it happened. Entries outlive the account that they are about.
CREATE TABLE audit (
    id         BIGINT  NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         BIGINT  NOT NULL,
    event      TEXT    NOT NULL,
    account_id TEXT,
    client     TEXT,
    operator   TEXT,
    trace_id   TEXT,
    detail     TEXT
);

CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_account_id ON audit (account_id, id);
CREATE INDEX audit_wrong_passwords ON audit (id) WHERE event = 'wrong_password';

-- The last beat of each node that reads from a replica: by it the node knows how far behind the replica is.
CREATE TABLE heartbeats (
    node TEXT   NOT NULL PRIMARY KEY,
    beat BIGINT NOT NULL
);
