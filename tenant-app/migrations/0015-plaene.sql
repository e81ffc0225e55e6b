-- What is asked with each request keeps its plan: a function in SQL is planned anew with each call, one in PL/pgSQL once a connection. Nothing
-- else about them changes.
CREATE OR REPLACE FUNCTION meine_umfaenge(gesucht text, getan text) RETURNS text[]
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  RETURN (
    SELECT coalesce(array_agg(DISTINCT x.umfang), '{}')
      FROM konto k
      JOIN konto_rolle kr ON kr.konto_id = k.id
      JOIN rolle r ON r.id = kr.rolle_id AND r.aktiv
      JOIN recht x ON x.rolle_id = r.id AND x.ressource = gesucht AND x.aktion = getan
     WHERE k.id = ich() AND k.gesperrt_am IS NULL AND k.geloescht_am IS NULL);
END $$;

CREATE OR REPLACE FUNCTION verwaltet_nicht_mehr_als_ich(rollen text[]) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  RETURN NOT EXISTS (
    SELECT FROM recht x
     WHERE x.rolle_id = ANY (rollen) AND x.umfang = 'schule' AND x.ressource IN ('Konto', 'Kontaktdaten', 'Rolle')
       AND NOT 'schule' = ANY (meine_umfaenge(x.ressource, x.aktion)));
END $$;
CREATE OR REPLACE FUNCTION steht_nicht_ueber_mir(gefragt uuid) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  RETURN verwaltet_nicht_mehr_als_ich(ARRAY(SELECT kr.rolle_id FROM konto_rolle kr WHERE kr.konto_id = gefragt));
END $$;

CREATE OR REPLACE FUNCTION person_der_sitzung(gesucht bytea, geprueft bytea, jetzt timestamptz, untaetig interval, hoechstens interval)
RETURNS TABLE (konto_id uuid, benutzername text, vorname text, nachname text, nur_passwort boolean, zuletzt_am timestamptz,
               rollen text[], regeln json, handelnd text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT k.id, k.benutzername, k.vorname::text, k.nachname::text, s.nur_passwort, s.zuletzt_am,
         ARRAY(SELECT r.name::text FROM konto_rolle kr JOIN rolle r ON r.id = kr.rolle_id AND r.aktiv
                WHERE kr.konto_id = k.id ORDER BY r.rang, r.name),
         coalesce((SELECT json_agg(json_build_object('role', x.rolle_id, 'resource', x.ressource, 'action', x.aktion,
                                                     'scope', x.umfang))
                     FROM konto_rolle kr JOIN rolle r ON r.id = kr.rolle_id AND r.aktiv JOIN recht x ON x.rolle_id = r.id
                    WHERE kr.konto_id = k.id), '[]'::json),
         set_config('classmind.konto', k.id::text, true)
    FROM sitzung s JOIN konto k ON k.id = s.konto_id
   WHERE s.schluessel = gesucht AND s.sicherheit = geprueft
     AND k.gesperrt_am IS NULL AND k.geloescht_am IS NULL
     AND jetzt - s.zuletzt_am <= untaetig AND jetzt - s.begonnen_am <= hoechstens;
END $$;

-- Written into the statements that ask for the day, not called by them.
CREATE OR REPLACE FUNCTION heute() RETURNS date LANGUAGE sql STABLE AS $$
  SELECT (coalesce(nullif(current_setting('classmind.jetzt', true), '')::timestamptz, now()) AT TIME ZONE 'Europe/Berlin')::date
$$;
