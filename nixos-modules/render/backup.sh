#!/bin/sh
# Makes one encrypted backup: of SQLite by `backup.sh auth-core [ARGUMENT…]`, of PostgreSQL by `backup.sh pg_dump [ARGUMENT…]`, where
# the arguments tell which database. NixOS and the lab's tests run this very file.
#
# BACKUP_DIRECTORY    where backups are; each gets its name when all of it is on the disk
# BACKUP_RECIPIENTS   file with who can read them: age's recipients, one a line
# BACKUP_KEEP         how many of the newest are kept; older ones go when another is there
# BACKUP_METRICS      file for the textfile collector of node-exporter
set -eu
umask 077

fail() {
    printf 'backup: %s\n' "$*" >&2
    exit 1
}

# What is not encrypted is here alone, and no longer than this runs.
work=$(mktemp -d)
name=accounts-$(date -u +%Y%m%dT%H%M%SZ).age
unfinished=$BACKUP_DIRECTORY/$name.unfinished
trap 'rm -rf "$work" "$unfinished"' EXIT
trap 'exit 1' HUP INT TERM

# Of one whose power was cut.
rm -f "$BACKUP_DIRECTORY"/accounts-*.unfinished

program=$1
shift
case $program in
auth-core) set -- auth-core backup "$@" "$work/accounts" ;;
# Nobody knows which sessions and reset tokens will have ended when a backup is restored: none must come back. `auth-core restore`
# sees to that for SQLite.
pg_dump)
    set -- pg_dump --format=custom --exclude-table-data=sessions --exclude-table-data=idempotency_keys \
        --exclude-table-data=password_resets --file="$work/accounts" "$@"
    ;;
*) fail "$program is none of auth-core and pg_dump" ;;
esac
"$@" || fail "nothing was backed up: the line above says why"
age --encrypt --recipients-file "$BACKUP_RECIPIENTS" --output "$unfinished" "$work/accounts" ||
    fail "nothing was backed up: it could not be encrypted, the line above says why"
sync "$unfinished"
[ ! -e "$BACKUP_DIRECTORY/$name" ] || fail "$BACKUP_DIRECTORY/$name is there already"
mv "$unfinished" "$BACKUP_DIRECTORY/$name"
sync "$BACKUP_DIRECTORY"

# Names are in the order of time. The one that was just made stays, whatever the clock said before.
find "$BACKUP_DIRECTORY" -maxdepth 1 -type f -name 'accounts-*.age' ! -name "$name" | sort -r |
    tail -n "+$BACKUP_KEEP" | while read -r old; do rm "$old"; done

size=$(stat --format=%s "$BACKUP_DIRECTORY/$name")
cat >"$BACKUP_METRICS.new" <<END
# HELP auth_backup_last_success_timestamp_seconds When the newest backup was made, in seconds since 1970.
# TYPE auth_backup_last_success_timestamp_seconds gauge
auth_backup_last_success_timestamp_seconds $(date +%s)
# HELP auth_backup_size_bytes How large it is, encrypted.
# TYPE auth_backup_size_bytes gauge
auth_backup_size_bytes $size
END
chmod 0644 "$BACKUP_METRICS.new"
mv "$BACKUP_METRICS.new" "$BACKUP_METRICS"
echo "backup: $BACKUP_DIRECTORY/$name, $size bytes"
