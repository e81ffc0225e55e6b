-- Whoever signs in is nobody yet. What the login needs of an account comes through here, so that a coming version can close the table to
-- connections for which nobody acts: the version before this one still reads it itself.
CREATE FUNCTION konto_zur_anmeldung(name text) RETURNS TABLE (id uuid, gesperrt boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT k.id, k.gesperrt_am IS NOT NULL FROM konto k WHERE k.benutzername = name AND k.geloescht_am IS NULL
$$;
GRANT EXECUTE ON FUNCTION konto_zur_anmeldung(text) TO school_app;
