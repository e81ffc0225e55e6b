-- Roles of a school's database server. Run by a superuser, any number of times, before the database is created.
-- No passwords here: whoever runs this sets them.
--   school_owner    owns the database and all tables; used by `migrate` and `admin` only
--   school_app      the running app: owns nothing, holds the least grants, is subject to row-level security
--   school_backup   reads everything for pg_dump (which refuses to run under row-level security without BYPASSRLS)
--   school_journal  owns the journal; nobody logs in as it
DO $$
DECLARE
  wanted record;
BEGIN
  FOR wanted IN
    SELECT * FROM (VALUES
      ('school_owner', 'LOGIN'),
      ('school_app', 'LOGIN'),
      ('school_backup', 'LOGIN BYPASSRLS'),
      ('school_journal', 'NOLOGIN')
    ) AS roles(name, attributes)
  LOOP
    BEGIN
      IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted.name) THEN
        EXECUTE format('CREATE ROLE %I', wanted.name);
      END IF;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
      NULL; -- created by another session in the same moment
    END;
    EXECUTE format('ALTER ROLE %I NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION %s', wanted.name, wanted.attributes);
  END LOOP;
END
$$;

GRANT pg_read_all_data TO school_backup;
-- Migrations run as school_owner and hand the journal's objects to school_journal.
GRANT school_journal TO school_owner;
