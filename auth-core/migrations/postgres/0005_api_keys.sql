-- Keys of machines. digest is SHA-256 of a key, in lower-case hexadecimal; scopes are routes of the gateway, with a space between two.
CREATE TABLE api_keys (
    name       TEXT   NOT NULL PRIMARY KEY,
    digest     TEXT   NOT NULL UNIQUE,
    scopes     TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);
