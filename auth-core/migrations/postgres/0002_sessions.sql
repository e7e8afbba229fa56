-- A session begins with a log-in and has one refresh token that is good, its newest. family_hash is what all its tokens have in common.
-- nonce is there where the newest one came from a request with an Idempotency-Key.
CREATE TABLE sessions (
    id          TEXT    NOT NULL PRIMARY KEY,
    account_id  TEXT    NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    family_hash BYTEA   NOT NULL UNIQUE,
    token_hash  BYTEA   NOT NULL,
    nonce       BYTEA,
    expires_at  BIGINT  NOT NULL
);

CREATE INDEX sessions_account_id ON sessions (account_id);
CREATE INDEX sessions_expires_at ON sessions (expires_at);

ALTER TABLE accounts ADD COLUMN disabled BIGINT NOT NULL DEFAULT 0;
