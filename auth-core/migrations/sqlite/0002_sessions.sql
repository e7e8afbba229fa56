-- A session begins with a log-in and has one refresh token that is good, its newest. family_hash is what all its tokens have in common.
-- nonce is there where the newest one came from a request with an Idempotency-Key.
CREATE TABLE sessions (
    id          TEXT    NOT NULL PRIMARY KEY,
    account_id  TEXT    NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    family_hash BLOB    NOT NULL UNIQUE,
    token_hash  BLOB    NOT NULL,
    nonce       BLOB,
    expires_at  INTEGER NOT NULL
) STRICT;

CREATE INDEX sessions_account_id ON sessions (account_id);
CREATE INDEX sessions_expires_at ON sessions (expires_at);

ALTER TABLE accounts ADD COLUMN disabled INTEGER NOT NULL DEFAULT 0;
