-- What is a record of what people did ends by itself, like the journal: changes of assignments after 30 days, the operator's accesses, which are
-- there for the school, after a year. By the database's own clock: whoever sets the app's ahead forgets nothing early.
CREATE FUNCTION auftragsaenderungen_vergessen(vor timestamptz) RETURNS integer
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH weg AS (DELETE FROM auftragsaenderung a WHERE a.zeit < least(vor, now() - interval '30 days') RETURNING 1)
  SELECT count(*)::integer FROM weg
$$;
GRANT EXECUTE ON FUNCTION auftragsaenderungen_vergessen(timestamptz) TO school_app;

CREATE FUNCTION betreiberzugriffe_vergessen(vor timestamptz) RETURNS integer
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH weg AS (DELETE FROM betreiberzugriff b WHERE b.zeit < least(vor, now() - interval '365 days') RETURNING 1)
  SELECT count(*)::integer FROM weg
$$;
GRANT EXECUTE ON FUNCTION betreiberzugriffe_vergessen(timestamptz) TO school_app;

-- Until now only with the next one-time password of the same account.
CREATE FUNCTION einmalpasswort_formulare_vergessen(vor timestamptz) RETURNS integer
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH weg AS (DELETE FROM einmalpasswort_formular f WHERE f.am < least(vor, now() - interval '30 days') RETURNING 1)
  SELECT count(*)::integer FROM weg
$$;
GRANT EXECUTE ON FUNCTION einmalpasswort_formulare_vergessen(timestamptz) TO school_app;
COMMENT ON COLUMN einmalpasswort_formular.am IS 'Zeitpunkt; nach 30 Tagen wird der Eintrag gelöscht';
