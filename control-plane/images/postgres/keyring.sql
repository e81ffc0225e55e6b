-- Run by the superuser in the database `keyring` after platform.sql: repeatable. Rights on functions are a database's own.
GRANT EXECUTE ON FUNCTION pg_switch_wal() TO keyring;
