-- The archive of a person: what a school may have to keep, in one signed file that it keeps itself, fetched before an account is deleted. And
-- what an account has, in numbers, for those who decide about it.
CREATE TABLE archivabruf (
  person_id uuid NOT NULL REFERENCES person ON DELETE CASCADE,
  am timestamptz NOT NULL,
  konto_id uuid REFERENCES person ON DELETE SET NULL,
  PRIMARY KEY (person_id, am)
);
CREATE INDEX archivabruf_konto ON archivabruf (konto_id);
COMMENT ON TABLE archivabruf IS 'Wann das Archiv einer Person abgerufen wurde';
COMMENT ON COLUMN archivabruf.person_id IS 'Wessen Archiv';
COMMENT ON COLUMN archivabruf.am IS 'Zeitpunkt des Abrufs';
COMMENT ON COLUMN archivabruf.konto_id IS 'Wer es abgerufen hat';
-- Also of an account that is marked: until the day on which it goes.
CREATE VIEW bezug.archiv (id, aktion, umfang) AS SELECT k.id, 'abrufen', 'schule' FROM konto k;
GRANT SELECT ON bezug.archiv TO school_app;
ALTER TABLE archivabruf ENABLE ROW LEVEL SECURITY;
CREATE POLICY archivabruf_lesen ON archivabruf FOR SELECT TO school_app
  USING ((SELECT 'schule' = ANY (meine_umfaenge('Konto', 'lesen') || meine_umfaenge('Archiv', 'abrufen'))));
CREATE POLICY archivabruf_vermerken ON archivabruf FOR INSERT TO school_app
  WITH CHECK (konto_id = (SELECT ich()) AND (SELECT 'schule' = ANY (meine_umfaenge('Archiv', 'abrufen'))));
GRANT SELECT, INSERT ON archivabruf TO school_app;
-- It holds marks: for those who read those of the whole school.
INSERT INTO recht (rolle_id, ressource, aktion, umfang)
  SELECT r.id, 'Archiv', 'abrufen', 'schule' FROM rolle r WHERE r.id = 'schulleitung' ON CONFLICT DO NOTHING;

CREATE OR REPLACE FUNCTION vorgemerkt_von_loeschen(wer uuid) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  a integer;
  b integer;
  c integer;
BEGIN
  PERFORM loeschwahl(wer);
  UPDATE loeschung l SET vorgemerkt_von = NULL WHERE l.vorgemerkt_von = wer;
  GET DIAGNOSTICS a = ROW_COUNT;
  UPDATE archivabruf x SET konto_id = NULL WHERE x.konto_id = wer;
  GET DIAGNOSTICS b = ROW_COUNT;
  DELETE FROM archivabruf x WHERE x.person_id = wer;
  GET DIAGNOSTICS c = ROW_COUNT;
  RETURN zaehlung('vormerkungen', a::text, 'archivabrufe', (b + c)::text);
END $$;

-- What goes into it, whole, whatever else whoever fetches it may see: a part that is left out in silence would be worse than none.
CREATE FUNCTION archiv_pruefen() RETURNS void
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF NOT 'schule' = ANY (meine_umfaenge('Archiv', 'abrufen')) THEN
    RAISE insufficient_privilege USING MESSAGE = 'the archive of a person';
  END IF;
END $$;
CREATE FUNCTION archiv_person(wer uuid) RETURNS TABLE (vorname text, nachname text, seit text, eltern text[])
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  PERFORM archiv_pruefen();
  RETURN QUERY SELECT p.vorname::text, p.nachname::text, (p.angelegt_am AT TIME ZONE 'Europe/Berlin')::date::text,
    ARRAY(SELECT btrim(q.vorname || ' ' || q.nachname) FROM elternschaft e JOIN person q ON q.id = e.elternteil_id
           WHERE e.kind_id = wer ORDER BY q.nachname, q.vorname, q.id)
    FROM person p WHERE p.id = wer;
END $$;
CREATE FUNCTION archiv_zugehoerigkeiten(wer uuid) RETURNS TABLE (als text, name text, fach text, jahr text, ab text, bis text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
BEGIN
  PERFORM archiv_pruefen();
  RETURN QUERY SELECT z.als, z.name::text, z.fach::text, s.name::text, lower(z.gueltig)::text, (upper(z.gueltig) - 1)::text
    FROM (
      SELECT 'Klasse' AS als, k.name, NULL::text AS fach, k.schuljahr_id, m.gueltig FROM klassenmitglied m JOIN klasse k ON k.id = m.klasse_id
       WHERE m.person_id = wer
      UNION ALL
      SELECT 'Klassenleitung', k.name, NULL, k.schuljahr_id, l.gueltig FROM klassenleitung l JOIN klasse k ON k.id = l.klasse_id
       WHERE l.person_id = wer
      UNION ALL
      SELECT 'Unterricht', k.name, f.name, k.schuljahr_id, u.gueltig FROM unterrichtsauftrag u JOIN kurs k ON k.id = u.kurs_id
        JOIN fach f ON f.id = k.fach_id WHERE u.person_id = wer
      UNION ALL
      SELECT 'Kurs', k.name, f.name, k.schuljahr_id, e.gueltig FROM einschreibung e JOIN kurs k ON k.id = e.kurs_id
        JOIN fach f ON f.id = k.fach_id WHERE e.person_id = wer) AS z
    JOIN schuljahr s ON s.id = z.schuljahr_id ORDER BY s.von, z.als, z.name, lower(z.gueltig);
END $$;
CREATE FUNCTION archiv_noten(wer uuid) RETURNS TABLE (id uuid, kurs_id uuid, kurs text, fach text, jahr text, halbjahr integer, profil_id uuid,
  leistung text, datum text, kategorie_id uuid, faktor integer, hoechstpunkte text, eingetragen timestamptz, verschlossen bytea)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
BEGIN
  PERFORM archiv_pruefen();
  RETURN QUERY SELECT n.id, k.id, k.name::text, f.name::text, s.name::text, l.halbjahr::integer, kn.profil_id, l.name::text, l.datum::text,
      l.kategorie_id, l.faktor::integer, l.hoechstpunkte::text, n.geaendert_am, n.verschlossen
    FROM note n JOIN leistung l ON l.id = n.leistung_id JOIN kurs k ON k.id = n.kurs_id JOIN fach f ON f.id = k.fach_id
    JOIN schuljahr s ON s.id = k.schuljahr_id LEFT JOIN kursnoten kn ON kn.kurs_id = k.id
   WHERE n.person_id = wer ORDER BY s.von, f.name, k.name, l.halbjahr, l.datum, l.name, l.id;
END $$;
CREATE FUNCTION archiv_halbjahresnoten(wer uuid) RETURNS TABLE (id uuid, kurs_id uuid, kurs text, fach text, jahr text, halbjahr integer,
  profil_id uuid, eingetragen timestamptz, verschlossen bytea)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
BEGIN
  PERFORM archiv_pruefen();
  RETURN QUERY SELECT h.id, k.id, k.name::text, f.name::text, s.name::text, h.halbjahr::integer, kn.profil_id, h.geaendert_am, h.verschlossen
    FROM halbjahresnote h JOIN kurs k ON k.id = h.kurs_id JOIN fach f ON f.id = k.fach_id
    JOIN schuljahr s ON s.id = k.schuljahr_id LEFT JOIN kursnoten kn ON kn.kurs_id = k.id
   WHERE h.person_id = wer ORDER BY s.von, f.name, k.name, h.halbjahr;
END $$;

-- How much there is, for those who may delete the account; never what.
CREATE FUNCTION bestand_pruefen(wer uuid) RETURNS void
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF NOT konto_loeschen_erlaubt(wer) THEN
    RAISE insufficient_privilege USING MESSAGE = 'deletion of another account';
  END IF;
END $$;
CREATE FUNCTION nachrichten_der_person_zaehlen(wer uuid) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  PERFORM bestand_pruefen(wer);
  RETURN zaehlung('geschrieben', (SELECT count(*) FROM nachricht WHERE absender_id = wer)::text,
    'empfangen', (SELECT count(*) FROM nachricht_empfaenger WHERE konto_id = wer)::text,
    'entwuerfe', (SELECT count(*) FROM nachricht_entwurf WHERE person_id = wer)::text);
END $$;
CREATE FUNCTION dateien_der_person_zaehlen(wer uuid) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  alle integer;
  geteilt integer;
BEGIN
  PERFORM bestand_pruefen(wer);
  SELECT count(*), count(*) FILTER (WHERE EXISTS (SELECT FROM datei_freigabe f WHERE f.datei_id = d.id)
    OR EXISTS (SELECT FROM nachricht_datei nd WHERE nd.datei_id = d.id)) INTO alle, geteilt FROM datei d WHERE d.besitzer_id = wer;
  RETURN zaehlung('geteilt', geteilt::text, 'eigene', (alle - geteilt)::text);
END $$;
CREATE FUNCTION noten_der_person_zaehlen(wer uuid) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  PERFORM bestand_pruefen(wer);
  RETURN zaehlung('noten', (SELECT count(*) FROM note WHERE person_id = wer)::text,
    'halbjahresnoten', (SELECT count(*) FROM halbjahresnote WHERE person_id = wer)::text);
END $$;
CREATE FUNCTION struktur_der_person_zaehlen(wer uuid) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  PERFORM bestand_pruefen(wer);
  RETURN zaehlung('klassen', (SELECT count(*) FROM klassenmitglied WHERE person_id = wer)::text,
    'kurse', (SELECT count(*) FROM einschreibung WHERE person_id = wer)::text,
    'unterricht', (SELECT count(*) FROM unterrichtsauftrag WHERE person_id = wer)::text,
    'leitungen', (SELECT count(*) FROM klassenleitung WHERE person_id = wer)::text);
END $$;
CREATE FUNCTION familie_der_person_zaehlen(wer uuid) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  PERFORM bestand_pruefen(wer);
  RETURN zaehlung('eltern', (SELECT count(*) FROM elternschaft WHERE kind_id = wer)::text,
    'kinder', (SELECT count(*) FROM elternschaft WHERE elternteil_id = wer)::text);
END $$;
GRANT EXECUTE ON FUNCTION archiv_person(uuid), archiv_zugehoerigkeiten(uuid), archiv_noten(uuid), archiv_halbjahresnoten(uuid),
  nachrichten_der_person_zaehlen(uuid), dateien_der_person_zaehlen(uuid), noten_der_person_zaehlen(uuid), struktur_der_person_zaehlen(uuid),
  familie_der_person_zaehlen(uuid) TO school_app;
