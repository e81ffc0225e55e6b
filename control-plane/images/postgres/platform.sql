-- Roles of the platform's own databases. Run by the superuser before every start with changed secrets: repeatable.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'controlplane_api') THEN
    CREATE ROLE controlplane_api LOGIN;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'controlplane_reconciler') THEN
    CREATE ROLE controlplane_reconciler LOGIN;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'keyring') THEN
    CREATE ROLE keyring LOGIN;
  END IF;
END
$$;

REVOKE ALL ON DATABASE controlplane FROM PUBLIC;

REVOKE ALL ON DATABASE keyring FROM PUBLIC;

ALTER DATABASE controlplane OWNER TO controlplane_reconciler;

ALTER DATABASE keyring OWNER TO keyring;

GRANT CONNECT ON DATABASE controlplane TO controlplane_api;

-- A destroyed key must not outlive its row in the write-ahead log (with the right that keyring.sql gives).
GRANT pg_checkpoint TO keyring;
-- Who still sees deleted rows is told to members of this role alone.
GRANT pg_read_all_stats TO keyring;
