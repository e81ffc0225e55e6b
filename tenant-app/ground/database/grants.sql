-- Run at the end of every `migrate`: what belongs to the database itself does not travel in a dump.
DO $$
BEGIN
  EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO school_app, school_backup', current_database());
END
$$;
