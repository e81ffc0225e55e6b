-- Whose the school's database is and who may connect. Run by the superuser after roles.sql, any number of times.
REVOKE ALL ON DATABASE school FROM PUBLIC;

ALTER DATABASE school OWNER TO school_owner;

GRANT CONNECT ON DATABASE school TO school_app, school_backup;
