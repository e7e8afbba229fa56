-- email is shown as the user typed it; email_normal (lower case) decides who already has an account. Not 0 in disabled: disabled by the operator.
CREATE TABLE accounts (
    id            TEXT    NOT NULL PRIMARY KEY,
    email         TEXT    NOT NULL,
    email_normal  TEXT    NOT NULL UNIQUE,
    password_hash TEXT    NOT NULL,
    role          TEXT    NOT NULL,
    created_at    INTEGER NOT NULL,
    disabled      INTEGER NOT NULL DEFAULT 0
) STRICT;

-- A session begins with a log-in and has one refresh token that is good, its newest. family_hash is what all its tokens have in common.
CREATE TABLE sessions (
    id          TEXT    NOT NULL PRIMARY KEY,
    account_id  TEXT    NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    family_hash BLOB    NOT NULL UNIQUE,
    token_hash  BLOB    NOT NULL,
    expires_at  INTEGER NOT NULL
) STRICT;

CREATE INDEX sessions_account_id ON sessions (account_id);
CREATE INDEX sessions_expires_at ON sessions (expires_at);

-- Wrong passwords in a row, by e-mail (in lower case), whether it has an account or not. A right password ends the row, as do 24 h without a wrong one.
CREATE TABLE failed_log_ins (
    email_normal TEXT    NOT NULL PRIMARY KEY,
    failures     INTEGER NOT NULL,
    last_at      INTEGER NOT NULL
) STRICT;

CREATE INDEX failed_log_ins_last_at ON failed_log_ins (last_at);

-- One row for each mutation that carried an Idempotency-Key and changed something, written in the transaction of the change. session_id is the
-- session that its answer began or carried on, and the row ends with it. by_refresh is 1 where the session's next refresh ends the row, too.
CREATE TABLE idempotency_keys (
    key_hash    BLOB    NOT NULL PRIMARY KEY,
    request_tag BLOB    NOT NULL,
    session_id  TEXT    REFERENCES sessions (id) ON DELETE CASCADE,
    by_refresh  INTEGER NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT;

CREATE INDEX idempotency_keys_session_id ON idempotency_keys (session_id);
CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at);

-- Tokens by which somebody replaces a password that they have lost, one for an account. token_hash is SHA-256 of the token.
CREATE TABLE password_resets (
    token_hash BLOB NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL UNIQUE REFERENCES accounts (id) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX password_resets_expires_at ON password_resets (expires_at);

-- Keys of machines. digest is SHA-256 of a key, in lower-case hexadecimal; scopes are routes of the gateway, with a space between two.
CREATE TABLE api_keys (
    name       TEXT    NOT NULL PRIMARY KEY,
    digest     TEXT    NOT NULL UNIQUE,
    scopes     TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- The audit stream: what happened, in the transaction in which it happened. Entries outlive the account that they are about.
CREATE TABLE audit (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,
    event      TEXT    NOT NULL,
    account_id TEXT,
    client     TEXT,
    operator   TEXT,
    trace_id   TEXT,
    detail     TEXT
) STRICT;

CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_account_id ON audit (account_id, id);
CREATE INDEX audit_wrong_passwords ON audit (id) WHERE event = 'wrong_password';
