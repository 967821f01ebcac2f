#!/bin/sh
# As the official image: an empty data folder is filled, and the scripts of /docker-entrypoint-initdb.d run once, by a server
# that listens on its socket alone.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    printf '%s\n' "$POSTGRES_PASSWORD" >/tmp/password
    initdb --pgdata="$PGDATA" --username="$POSTGRES_USER" --pwfile=/tmp/password --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 >/dev/null
    rm /tmp/password
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
    pg_ctl --pgdata="$PGDATA" --wait --options="-c listen_addresses='' -c unix_socket_directories=/tmp" start
    createdb --username="$POSTGRES_USER" "$POSTGRES_USER" || true
    for script in /docker-entrypoint-initdb.d/*.sql; do
        psql --no-psqlrc --username="$POSTGRES_USER" --dbname="$POSTGRES_USER" --file="$script"
    done
    pg_ctl --pgdata="$PGDATA" --wait --mode=fast stop
fi
# Podman mounts /run anew, for root alone, where a container's file system is read-only.
exec "$@" -c listen_addresses='*' -c unix_socket_directories=/tmp
