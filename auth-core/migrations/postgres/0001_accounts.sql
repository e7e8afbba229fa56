-- email is shown as the user typed it; email_normal (lower case) decides who already has an account.
CREATE TABLE accounts (
    id            TEXT   NOT NULL PRIMARY KEY,
    email         TEXT   NOT NULL,
    email_normal  TEXT   NOT NULL UNIQUE,
    password_hash TEXT   NOT NULL,
    role          TEXT   NOT NULL,
    created_at    BIGINT NOT NULL
);

-- One row for each sign-up that carried an Idempotency-Key, written in the account's own transaction.
CREATE TABLE idempotency_keys (
    key_hash   BYTEA  NOT NULL PRIMARY KEY,
    body_tag   BYTEA  NOT NULL,
    account_id TEXT   NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    created_at BIGINT NOT NULL
);

CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at);
