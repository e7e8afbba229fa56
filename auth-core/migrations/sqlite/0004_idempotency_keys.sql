-- One row for each mutation that carried an Idempotency-Key and changed something, written in the transaction of the change. session_id is the
-- session that its answer began or carried on, and the row ends with it. by_refresh is 1 where the session's next refresh ends the row, too.
DROP TABLE idempotency_keys;

CREATE TABLE idempotency_keys (
    key_hash    BLOB    NOT NULL PRIMARY KEY,
    request_tag BLOB    NOT NULL,
    session_id  TEXT    REFERENCES sessions (id) ON DELETE CASCADE,
    by_refresh  INTEGER NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT;

CREATE INDEX idempotency_keys_session_id ON idempotency_keys (session_id);
CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at);

-- What a repeated refresh gets is made from its request now.
ALTER TABLE sessions DROP COLUMN nonce;
