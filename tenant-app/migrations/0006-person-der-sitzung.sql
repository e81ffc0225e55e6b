-- Who is behind the two keys of a session, with roles and rules: one call for each request. It answers for keys that belong together
-- and are still good, and for nobody else; from its answer on the transaction acts as that person. So the app needs no view of its own
-- on other people's roles and locks to ask, and what it asks next can be sent before the answer is there.
CREATE FUNCTION person_der_sitzung(gesucht bytea, geprueft bytea, jetzt timestamptz, untaetig interval, hoechstens interval)
RETURNS TABLE (konto_id uuid, benutzername text, vorname text, nachname text, nur_passwort boolean, zuletzt_am timestamptz,
               rollen text[], regeln json, handelnd text)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT k.id, k.benutzername, k.vorname, k.nachname, s.nur_passwort, s.zuletzt_am,
         ARRAY(SELECT r.name FROM konto_rolle kr JOIN rolle r ON r.id = kr.rolle_id AND r.aktiv
                WHERE kr.konto_id = k.id ORDER BY r.rang, r.name),
         coalesce((SELECT json_agg(json_build_object('role', x.rolle_id, 'resource', x.ressource, 'action', x.aktion,
                                                     'scope', x.umfang))
                     FROM konto_rolle kr JOIN rolle r ON r.id = kr.rolle_id AND r.aktiv JOIN recht x ON x.rolle_id = r.id
                    WHERE kr.konto_id = k.id), '[]'::json),
         set_config('classmind.konto', k.id::text, true)
    FROM sitzung s JOIN konto k ON k.id = s.konto_id
   WHERE s.schluessel = gesucht AND s.sicherheit = geprueft
     AND k.gesperrt_am IS NULL AND k.geloescht_am IS NULL
     AND jetzt - s.zuletzt_am <= untaetig AND jetzt - s.begonnen_am <= hoechstens
$$;
GRANT EXECUTE ON FUNCTION person_der_sitzung(bytea, bytea, timestamptz, interval, interval) TO school_app;
