-- A person is not their login. Whoever the school knows is a person; a konto is the login that some of them have, under the same id, so
-- that what somebody owns and wrote stays theirs when the login is changed or taken away.

-- German order, with numbers by their value: 5a before 10a. A collation of our own, so that its version can be renewed with the image.
CREATE COLLATION deutsch (provider = icu, locale = 'de-u-kn-true');

-- What a text is found by: small letters without accents, umlauts both spelled out and plain, apostrophes and hyphens both as gaps and as
-- nothing. Blanks stand between words and at both ends.
CREATE FUNCTION einfach(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog AS $$
  SELECT regexp_replace(normalize(lower(normalize($1, NFKC)), NFD), '[\u0300-\u036f]', '', 'g')
$$;
CREATE FUNCTION ausgeschrieben(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog AS $$
  SELECT replace(replace(replace(replace(replace(replace(replace(replace(
    lower(normalize($1, NFKC)), 'ä', 'ae'), 'ö', 'oe'), 'ü', 'ue'), 'ß', 'ss'), 'ø', 'oe'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th')
$$;
CREATE FUNCTION gerade(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog AS $$
  SELECT translate(replace(replace($1, 'ß', 'ss'), 'æ', 'ae'), 'øłđðı', 'olddi')
$$;
CREATE FUNCTION suchtext(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT ' ' || string_agg(DISTINCT wort, ' ') || ' '
    FROM (VALUES (gerade(einfach(ausgeschrieben($1)))), (gerade(einfach($1)))) AS form (klein)
    CROSS JOIN LATERAL (VALUES
      (regexp_replace(klein, '[''’ʼ`´‐‑–.-]', '', 'g')), (regexp_replace(klein, '[''’ʼ`´‐‑–.-]', ' ', 'g'))) AS art (geschrieben)
    CROSS JOIN LATERAL regexp_split_to_table(geschrieben, '\s+') AS wort
   WHERE wort <> ''
$$;
-- What a search looks for: one pattern for each word, whatever stands between them. A text is found if it is like all of them.
CREATE FUNCTION suchmuster(text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT coalesce(array_agg('%' || regexp_replace(wort, '[\\%_]', '\\\&', 'g') || '%'), '{}')
    FROM (SELECT DISTINCT wort
            FROM regexp_split_to_table(gerade(einfach(ausgeschrieben(left($1, 100)))), '[\s,;''’ʼ`´‐‑–.-]+') AS wort
           WHERE wort <> '' LIMIT 10) AS woerter
$$;
GRANT EXECUTE ON FUNCTION einfach(text), ausgeschrieben(text), gerade(text), suchtext(text), suchmuster(text) TO school_app;

CREATE TABLE person (
  id uuid PRIMARY KEY,
  vorname text COLLATE deutsch NOT NULL CHECK (length(vorname) <= 100),
  nachname text COLLATE deutsch NOT NULL CHECK (length(nachname) <= 100),
  suchtext text GENERATED ALWAYS AS (suchtext(vorname || ' ' || nachname)) STORED,
  angelegt_am timestamptz NOT NULL,
  version integer NOT NULL DEFAULT 1,
  CHECK (vorname <> '' OR nachname <> '')
);
CREATE INDEX person_name ON person (nachname, vorname, id);
COMMENT ON TABLE person IS 'Wen die Schule kennt: Schülerinnen und Schüler, Lehrkräfte, Eltern, Verwaltung, mit und ohne Zugang';
COMMENT ON COLUMN person.id IS 'Unveränderliches Kennzeichen der Person; ihr Konto trägt dasselbe';
COMMENT ON COLUMN person.vorname IS 'Anzeige des Namens';
COMMENT ON COLUMN person.nachname IS 'Anzeige des Namens';
COMMENT ON COLUMN person.suchtext IS 'Name in einfachen Buchstaben, für die Suche';
COMMENT ON COLUMN person.angelegt_am IS 'Nachvollziehen, seit wann die Schule die Person führt';
COMMENT ON COLUMN person.version IS 'Zählt Änderungen, damit ein altes Formular keine neuere überschreibt';
CREATE TRIGGER person_version BEFORE UPDATE OF vorname, nachname ON person
  FOR EACH ROW EXECUTE FUNCTION version_zaehlen();

INSERT INTO person (id, vorname, nachname, angelegt_am) SELECT id, vorname, nachname, angelegt_am FROM konto;

-- The previous version of the app knows names in konto alone. Until it is gone both hold them, and each change in one is made in the other.
ALTER TABLE konto DROP CONSTRAINT konto_vorname_check, DROP CONSTRAINT konto_nachname_check,
  ADD CONSTRAINT konto_vorname_check CHECK (length(vorname) <= 100),
  ADD CONSTRAINT konto_nachname_check CHECK (length(nachname) <= 100),
  ADD CONSTRAINT konto_name_check CHECK (vorname <> '' OR nachname <> '');
CREATE FUNCTION suchname_von(vorname text, nachname text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT gerade(einfach(ausgeschrieben(vorname || ' ' || nachname || ' ' || vorname)))
$$;
CREATE FUNCTION person_zum_konto() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  INSERT INTO person (id, vorname, nachname, angelegt_am) SELECT new.id, new.vorname, new.nachname, new.angelegt_am
    WHERE new.vorname IS NOT NULL
    ON CONFLICT (id) DO NOTHING;
  SELECT p.vorname, p.nachname, suchname_von(p.vorname, p.nachname) INTO new.vorname, new.nachname, new.suchname
    FROM person p WHERE p.id = new.id;
  RETURN new;
END $$;
CREATE TRIGGER person_zum_konto BEFORE INSERT ON konto FOR EACH ROW EXECUTE FUNCTION person_zum_konto();
CREATE FUNCTION name_zur_person() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  UPDATE person p SET vorname = new.vorname, nachname = new.nachname
   WHERE p.id = new.id AND (p.vorname, p.nachname) IS DISTINCT FROM (new.vorname, new.nachname);
  RETURN NULL;
END $$;
CREATE TRIGGER name_zur_person AFTER UPDATE OF vorname, nachname ON konto
  FOR EACH ROW WHEN ((new.vorname, new.nachname) IS DISTINCT FROM (old.vorname, old.nachname)) EXECUTE FUNCTION name_zur_person();
CREATE FUNCTION name_zum_konto() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  UPDATE konto k SET vorname = new.vorname, nachname = new.nachname, suchname = suchname_von(new.vorname, new.nachname)
   WHERE k.id = new.id AND (k.vorname, k.nachname) IS DISTINCT FROM (new.vorname, new.nachname);
  RETURN NULL;
END $$;
CREATE TRIGGER name_zum_konto AFTER UPDATE OF vorname, nachname ON person
  FOR EACH ROW WHEN ((new.vorname, new.nachname) IS DISTINCT FROM (old.vorname, old.nachname)) EXECUTE FUNCTION name_zum_konto();
-- Also where triggers are switched off, as replication does: the two never differ.
ALTER TABLE konto ENABLE ALWAYS TRIGGER person_zum_konto, ENABLE ALWAYS TRIGGER name_zur_person;
ALTER TABLE person ENABLE ALWAYS TRIGGER name_zum_konto;
ALTER TABLE konto ADD CONSTRAINT konto_person FOREIGN KEY (id) REFERENCES person;

-- What somebody owns and wrote is the person's: it outlives the login. Files do not go with a person either: somebody decides about them first.
ALTER TABLE kontaktdaten DROP CONSTRAINT kontaktdaten_konto_id_fkey,
  ADD CONSTRAINT kontaktdaten_person FOREIGN KEY (konto_id) REFERENCES person ON DELETE CASCADE;
ALTER TABLE nachricht DROP CONSTRAINT nachricht_absender_id_fkey,
  ADD CONSTRAINT nachricht_absender FOREIGN KEY (absender_id) REFERENCES person ON DELETE SET NULL;
ALTER TABLE nachricht_empfaenger DROP CONSTRAINT nachricht_empfaenger_konto_id_fkey,
  ADD CONSTRAINT nachricht_empfaenger_person FOREIGN KEY (konto_id) REFERENCES person ON DELETE CASCADE;
ALTER TABLE datei DROP CONSTRAINT datei_besitzer_id_fkey,
  ADD CONSTRAINT datei_besitzer FOREIGN KEY (besitzer_id) REFERENCES person;
ALTER TABLE datei_freigabe DROP CONSTRAINT datei_freigabe_konto_id_fkey,
  ADD CONSTRAINT datei_freigabe_person FOREIGN KEY (konto_id) REFERENCES person ON DELETE CASCADE;

-- A person is oneself, or one of the school. Nobody renames whoever manages more than they do.
CREATE VIEW bezug.person (id, aktion, umfang) AS
  SELECT p.id, 'lesen', 'eigen' FROM person p WHERE p.id = (SELECT ich())
  UNION ALL
  SELECT p.id, 'lesen', 'schule' FROM person p
  UNION ALL
  SELECT p.id, a.aktion, 'schule' FROM person p CROSS JOIN (VALUES ('bearbeiten'), ('loeschen')) AS a (aktion)
   WHERE steht_nicht_ueber_mir(p.id);
GRANT SELECT ON bezug.person TO school_app;

-- Names stand beside messages and files: whoever is signed in may be shown them. Nobody else is.
ALTER TABLE person ENABLE ROW LEVEL SECURITY;
CREATE POLICY person_lesen ON person FOR SELECT TO school_app USING ((SELECT ich()) IS NOT NULL);
CREATE POLICY person_anlegen ON person FOR INSERT TO school_app
  WITH CHECK ((SELECT 'schule' = ANY (meine_umfaenge('Person', 'anlegen') || meine_umfaenge('Konto', 'anlegen'))));
CREATE POLICY person_aendern ON person FOR UPDATE TO school_app
  USING (EXISTS (SELECT FROM bezug.person b WHERE b.id = person.id AND b.aktion = 'bearbeiten' AND b.umfang = 'schule')
    AND (SELECT 'schule' = ANY (meine_umfaenge('Person', 'bearbeiten') || meine_umfaenge('Konto', 'bearbeiten'))));
CREATE POLICY person_loeschen ON person FOR DELETE TO school_app
  USING (EXISTS (SELECT FROM bezug.person b WHERE b.id = person.id AND b.aktion = 'loeschen'
    AND b.umfang = ANY ((SELECT meine_umfaenge('Person', 'loeschen'))::text[])));
GRANT SELECT, INSERT, DELETE ON person TO school_app;
GRANT UPDATE (vorname, nachname) ON person TO school_app;

INSERT INTO recht (rolle_id, ressource, aktion, umfang)
  SELECT r.id, 'Person', x.aktion, 'schule'
    FROM rolle r JOIN (VALUES ('schulleitung', 'lesen'), ('administrator', 'lesen'), ('administrator', 'anlegen'),
      ('administrator', 'bearbeiten'), ('administrator', 'loeschen')) AS x (rolle_id, aktion) ON x.rolle_id = r.id
ON CONFLICT DO NOTHING;
