#!/usr/bin/env python3
"""Fills the core's SQLite database for `./dev bench growth`: FILE COUNT EMAIL.

Makes COUNT accounts, user0@example.org and so on, with the password of the account that has EMAIL and a session each; says how large the file is,
and how long it takes to make an index over all accounts, as a migration would.
"""

import os
import sqlite3
import sys
import time
import uuid

file, count, email = sys.argv[1], int(sys.argv[2]), sys.argv[3]
database = sqlite3.connect(file, isolation_level=None)
database.execute("PRAGMA synchronous = OFF")
(password,) = database.execute("SELECT password_hash FROM accounts WHERE email_normal = ?", (email,)).fetchone()
(have,) = database.execute("SELECT count(*) FROM accounts WHERE email_normal LIKE 'user%@example.org'").fetchone()


def accounts():
    for number in range(have, count):
        address = f"user{number}@example.org"
        # As version 7 has it, ids grow with time.
        yield (str(uuid.UUID(int=(0x0192 << 112) + (number << 64) + 7)), address, address, password)


database.execute("BEGIN")
database.executemany(
    "INSERT INTO accounts (id, email, email_normal, password_hash, role, created_at) VALUES (?, ?, ?, ?, 'user', 1790000000)", accounts()
)
database.execute(
    "INSERT INTO sessions (id, account_id, family_hash, token_hash, expires_at)"
    " SELECT 's' || id, id, randomblob(32), randomblob(32), 2000000000 FROM accounts"
    " WHERE NOT EXISTS (SELECT 1 FROM sessions WHERE account_id = accounts.id)"
)
database.execute("COMMIT")
begin = time.monotonic()
database.execute("CREATE INDEX an_example ON accounts (created_at)")
index = time.monotonic() - begin
database.execute("DROP INDEX an_example")
database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
print(os.path.getsize(file), f"{index:.3f}")
