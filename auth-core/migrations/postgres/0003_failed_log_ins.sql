-- Wrong passwords in a row, by e-mail (in lower case), whether it has an account or not. A right password ends the row, as do 24 h without a wrong one.
CREATE TABLE failed_log_ins (
    email_normal TEXT   NOT NULL PRIMARY KEY,
    failures     BIGINT NOT NULL,
    last_at      BIGINT NOT NULL
);

CREATE INDEX failed_log_ins_last_at ON failed_log_ins (last_at);
