#!/bin/sh
# Makes the cores' database and the user whose it is, once, when the cluster is made. Patroni gives the superuser's URL as argument.
#
# AUTHSTACK_DATABASE is the name of both, AUTHSTACK_DATABASE_PASSWORD_FILE has the password. AUTHSTACK_DATABASE_MONITOR, if there is one, is a
# user who may read statistics and logs in by the Unix socket alone.
set -eu
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --set=name="$AUTHSTACK_DATABASE" "$1" <<'END'
\set password `cat "$AUTHSTACK_DATABASE_PASSWORD_FILE"`
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
END
[ -z "${AUTHSTACK_DATABASE_MONITOR:-}" ] ||
    psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --set=name="$AUTHSTACK_DATABASE_MONITOR" "$1" <<'END'
CREATE ROLE :"name" LOGIN IN ROLE pg_monitor;
END
