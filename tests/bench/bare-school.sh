#!/bin/bash
# What a person would write to get the same page without Classmind: two containers of the same images on a network of their own,
# initdb on a plain directory, roles and database by hand, the app's own migrations, then waiting for the login page.
# Left out on purpose: encrypted volume (but see ENCRYPTED), certificate and gateway, firewall, read-only and otherwise confined
# containers, first administrator, probes, backups, records of what was done.
#
#   bare-school.sh NAME DIRECTORY NUMBER POSTGRES_IMAGE APP_IMAGE
#
#   PODMAN     the command with its flags, one word each line
#   LABEL      label for containers and network, so that whoever cleans up finds them
#   ENCRYPTED  "yes": the directory is an encrypted volume like a school's (ext4 image of 5 GiB, loop mount, fscrypt)
set -euo pipefail
name=$1 directory=$2 number=$3 postgres_image=$4 app_image=$5
mapfile -t podman <<<"$PODMAN"
subnet=10.250.$number
limits=(--ulimit nofile=4096:4096 --ulimit nproc=1024:1024)
host=$name.example

mkdir -p "$directory"
data=$directory/data
if [[ ${ENCRYPTED:-no} == yes ]]; then
  truncate --size=5G "$directory/volume.img"
  mkfs.ext4 -q -O encrypt -E lazy_itable_init=1,nodiscard -m 0 "$directory/volume.img"
  mkdir "$directory/mnt"
  mount -o loop "$directory/volume.img" "$directory/mnt"
  fscrypt setup "$directory/mnt" --quiet --force
  data=$directory/mnt/data
  mkdir "$data"
  head -c 32 /dev/urandom >"$directory/volume.key"
  fscrypt encrypt "$data" --source=raw_key --key="$directory/volume.key" --name=volume --no-recovery --quiet
fi
mkdir -p "$data/db" "$data/files" "$directory"/secrets/{database-owner,database-app,app-keys,app-session}
head -c 32 /dev/urandom >"$directory/secrets/app-keys/field-key"
head -c 32 /dev/urandom >"$directory/secrets/app-session/session-key"
echo unused | tee "$directory/secrets/database-owner/password" >"$directory/secrets/database-app/password"
chown -R 10001:10001 "$data" "$directory/secrets"

"${podman[@]}" network create --internal --disable-dns --subnet "$subnet.0/28" --gateway "$subnet.1" --label "$LABEL" "$name" >/dev/null
"${podman[@]}" run --detach --name "$name-db" --label "$LABEL" --network "$name" --ip "$subnet.2" --user 10001:10001 \
  "${limits[@]}" --volume "$data/db:/data" --entrypoint /bin/bash "$postgres_image" -euc '
    initdb --pgdata=/data/pg --username=postgres --auth=trust --encoding=UTF8 --locale=C.UTF-8 >/dev/null
    echo "host all all all trust" >>/data/pg/pg_hba.conf
    postgres -D /data/pg -k /tmp -h "*" &
    until pg_isready --quiet --host=/tmp; do sleep 0.05; done
    psql --quiet --host=/tmp --username=postgres --file=/usr/local/lib/classmind/roles.sql \
      --command="CREATE DATABASE school OWNER school_owner"
    wait' >/dev/null
"${podman[@]}" run --detach --name "$name-app" --label "$LABEL" --network "$name" --ip "$subnet.3" --user 10001:10001 \
  "${limits[@]}" --add-host "db:$subnet.2" --volume "$data/files:/var/lib/classmind/files" \
  --volume "$directory/secrets:/run/secrets:ro" \
  --env NODE_ENV=production --env CLASSMIND_DATABASE_HOST=db --env CLASSMIND_SCHOOL_SLUG="$name" \
  --env CLASSMIND_SCHOOL_NAME="$name" --env CLASSMIND_URL="https://$host" --env CLASSMIND_LISTEN_PORT=8080 \
  --env CLASSMIND_FILES_DIR=/var/lib/classmind/files --entrypoint /bin/sh "$app_image" \
  -c 'node /app/main.mjs migrate && exec node /app/main.mjs serve' >/dev/null

for _ in $(seq 600); do
  page=$(curl --silent --noproxy '*' --max-time 5 --header "Host: $host" "http://$subnet.3:8080/anmelden" || true)
  if [[ $page == *'<title>Anmelden'* ]]; then exit 0; fi
  sleep 0.05
done
"${podman[@]}" logs "$name-db" "$name-app" >&2
exit 1
