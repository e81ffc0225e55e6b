-- Reading lists of people and structure from other programs: what was uploaded and waits for its confirmation, and by what somebody is known
-- again in the next file. Of what a file says nothing more is kept than the features need.
CREATE TABLE einlesung (
  id uuid PRIMARY KEY,
  person_id uuid NOT NULL UNIQUE REFERENCES person ON DELETE CASCADE,
  angaben bytea NOT NULL,
  begonnen_am timestamptz NOT NULL,
  version integer NOT NULL DEFAULT 1
);
COMMENT ON TABLE einlesung IS 'Hochgeladene Listen, die auf ihre Bestätigung warten; höchstens einen Tag';
COMMENT ON COLUMN einlesung.id IS 'Kennzeichen';
COMMENT ON COLUMN einlesung.person_id IS 'Wer sie hochgeladen hat';
COMMENT ON COLUMN einlesung.angaben IS 'Schuljahr, Tag und Entscheidungen zu einzelnen Zeilen (verschlüsselt mit dem Schlüssel der Person)';
COMMENT ON COLUMN einlesung.begonnen_am IS 'Beginn; einen Tag später wird sie gelöscht';
COMMENT ON COLUMN einlesung.version IS 'Zählt Änderungen, damit ein altes Formular keine neuere überschreibt';
CREATE TABLE einlesung_datei (
  id uuid PRIMARY KEY,
  einlesung_id uuid NOT NULL REFERENCES einlesung ON DELETE CASCADE,
  nummer integer NOT NULL,
  groesse integer NOT NULL CHECK (groesse >= 0),
  kopf bytea NOT NULL,
  inhalt bytea NOT NULL CHECK (octet_length(inhalt) <= 11000000),
  UNIQUE (einlesung_id, nummer)
);
COMMENT ON TABLE einlesung_datei IS 'Die einzelnen hochgeladenen Dateien';
COMMENT ON COLUMN einlesung_datei.id IS 'Kennzeichen der Datei';
COMMENT ON COLUMN einlesung_datei.einlesung_id IS 'Wozu sie gehört';
COMMENT ON COLUMN einlesung_datei.nummer IS 'Reihenfolge';
COMMENT ON COLUMN einlesung_datei.groesse IS 'Größe in Byte, für die Grenze aller zusammen';
COMMENT ON COLUMN einlesung_datei.kopf IS 'Name der Datei und Bedeutung ihrer Spalten (verschlüsselt mit dem Schlüssel der Person, die sie hochgeladen hat)';
COMMENT ON COLUMN einlesung_datei.inhalt IS 'Inhalt (verschlüsselt mit dem Schlüssel der Person, die sie hochgeladen hat)';

-- A birth date is needed to tell two of one name apart, and for nothing else: so what is kept is a check value of it, for this person, under a
-- key of the school. It says whether a date is the same, and no date.
CREATE TABLE eingelesene_person (
  person_id uuid PRIMARY KEY REFERENCES person ON DELETE CASCADE,
  art text NOT NULL CHECK (art IN ('schueler', 'lehrkraft')),
  geburt bytea CHECK (octet_length(geburt) = 32),
  zuletzt_am date NOT NULL
);
COMMENT ON TABLE eingelesene_person IS 'Wer aus einer Liste kam, damit die nächste Liste niemanden doppelt anlegt';
COMMENT ON COLUMN eingelesene_person.person_id IS 'Person';
COMMENT ON COLUMN eingelesene_person.art IS 'Ob als Schülerin oder Schüler oder als Lehrkraft';
COMMENT ON COLUMN eingelesene_person.geburt IS 'Prüfwert des Geburtsdatums, um zwei gleichen Namens zu unterscheiden; das Datum selbst wird nicht gespeichert';
COMMENT ON COLUMN eingelesene_person.zuletzt_am IS 'Tag, an dem sich daran zuletzt etwas geändert hat';
CREATE TABLE fremde_kennung (
  quelle text NOT NULL CHECK (quelle ~ '^[a-z0-9-]{1,30}$'),
  kennung bytea NOT NULL CHECK (octet_length(kennung) = 32),
  person_id uuid NOT NULL REFERENCES person ON DELETE CASCADE,
  PRIMARY KEY (quelle, kennung),
  UNIQUE (person_id, quelle)
);
COMMENT ON TABLE fremde_kennung IS 'Woran eine Person in den Dateien eines anderen Programms wiedererkannt wird';
COMMENT ON COLUMN fremde_kennung.quelle IS 'Welches Programm';
COMMENT ON COLUMN fremde_kennung.kennung IS 'Prüfwert ihrer Kennung in diesem Programm; die Kennung selbst wird nicht gespeichert';
COMMENT ON COLUMN fremde_kennung.person_id IS 'Person';
CREATE TABLE kurskennung (
  quelle text NOT NULL CHECK (quelle ~ '^[a-z0-9-]{1,30}$'),
  kennung bytea NOT NULL CHECK (octet_length(kennung) = 32),
  kurs_id uuid NOT NULL REFERENCES kurs ON DELETE CASCADE,
  PRIMARY KEY (quelle, kennung)
);
CREATE INDEX kurskennung_kurs ON kurskennung (kurs_id);
COMMENT ON TABLE kurskennung IS 'Woran ein Kurs in den Dateien eines anderen Programms wiedererkannt wird';
COMMENT ON COLUMN kurskennung.quelle IS 'Welches Programm';
COMMENT ON COLUMN kurskennung.kennung IS 'Prüfwert seiner Kennung in diesem Programm und Schuljahr';
COMMENT ON COLUMN kurskennung.kurs_id IS 'Kurs';

-- What is uploaded is seen by whoever uploaded it, as long as they have the right; by what people are known again, by those who have it.
ALTER TABLE einlesung ENABLE ROW LEVEL SECURITY;
ALTER TABLE einlesung_datei ENABLE ROW LEVEL SECURITY;
ALTER TABLE eingelesene_person ENABLE ROW LEVEL SECURITY;
ALTER TABLE fremde_kennung ENABLE ROW LEVEL SECURITY;
ALTER TABLE kurskennung ENABLE ROW LEVEL SECURITY;
CREATE POLICY einlesung_eigene ON einlesung TO school_app
  USING (person_id = (SELECT ich()) AND (SELECT 'schule' = ANY (meine_umfaenge('Einlesung', 'einlesen'))));
CREATE POLICY einlesung_datei_eigene ON einlesung_datei TO school_app
  USING (einlesung_id IN (SELECT e.id FROM einlesung e WHERE e.person_id = (SELECT ich())));
CREATE POLICY eingelesene_person_alle ON eingelesene_person TO school_app
  USING ((SELECT 'schule' = ANY (meine_umfaenge('Einlesung', 'einlesen'))));
CREATE POLICY fremde_kennung_alle ON fremde_kennung TO school_app
  USING ((SELECT 'schule' = ANY (meine_umfaenge('Einlesung', 'einlesen'))));
CREATE POLICY kurskennung_alle ON kurskennung TO school_app
  USING ((SELECT 'schule' = ANY (meine_umfaenge('Einlesung', 'einlesen'))));
GRANT SELECT, INSERT, DELETE, UPDATE (angaben, version) ON einlesung TO school_app;
GRANT SELECT, INSERT, DELETE, UPDATE (kopf) ON einlesung_datei TO school_app;
GRANT SELECT, INSERT, UPDATE (art, geburt, zuletzt_am) ON eingelesene_person TO school_app;
GRANT SELECT, INSERT, UPDATE (kennung), DELETE ON fremde_kennung TO school_app;
GRANT SELECT, INSERT ON kurskennung TO school_app;

-- What nobody confirmed within a day goes, whoever uploaded it; not earlier by an app whose clock is ahead.
CREATE FUNCTION einlesungen_abraeumen(vor timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  anzahl integer;
BEGIN
  DELETE FROM einlesung e WHERE e.begonnen_am < least(vor, now() - interval '1 day');
  GET DIAGNOSTICS anzahl = ROW_COUNT;
  RETURN anzahl;
END $$;
GRANT EXECUTE ON FUNCTION einlesungen_abraeumen(timestamptz) TO school_app;

-- What comes into a class or a course together with others is journaled together with them: one entry for each person, not one for each
-- course. The entry is about the collection that the rows name, which nobody can name without writing it.
ALTER TABLE klassenmitglied ADD COLUMN sammlung uuid;
ALTER TABLE klassenleitung ADD COLUMN sammlung uuid;
ALTER TABLE unterrichtsauftrag ADD COLUMN sammlung uuid;
ALTER TABLE einschreibung ADD COLUMN sammlung uuid;
COMMENT ON COLUMN klassenmitglied.sammlung IS 'Womit zusammen sie im Protokoll steht; leer: allein';
COMMENT ON COLUMN klassenleitung.sammlung IS 'Womit zusammen sie im Protokoll steht; leer: allein';
COMMENT ON COLUMN unterrichtsauftrag.sammlung IS 'Womit zusammen er im Protokoll steht; leer: allein';
COMMENT ON COLUMN einschreibung.sammlung IS 'Womit zusammen sie im Protokoll steht; leer: allein';
DO $$
DECLARE
  t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['klassenmitglied', 'klassenleitung', 'unterrichtsauftrag', 'einschreibung'] LOOP
    EXECUTE format('DROP TRIGGER protokoll ON %I', t);
    EXECUTE format('CREATE CONSTRAINT TRIGGER protokoll AFTER INSERT ON %I DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW EXECUTE FUNCTION journal.verlangen(''id'', ''sammlung'')', t);
    EXECUTE format('CREATE CONSTRAINT TRIGGER protokoll_danach AFTER UPDATE OR DELETE ON %I DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW EXECUTE FUNCTION journal.verlangen(''id'')', t);
  END LOOP;
END $$;

-- Keys for many people at once. Can be repeated, as all of this schema: see 0012.
CREATE OR REPLACE FUNCTION schluessel.hinterlegen_viele(wer uuid[], namen uuid[], neue bytea[], jetzt timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF session_user = 'school_app' AND nullif(current_setting('classmind.konto', true), '') IS NULL THEN
    RAISE insufficient_privilege USING MESSAGE = 'nobody acts';
  END IF;
  PERFORM pg_advisory_xact_lock_shared(7284019333);
  -- In one order for everybody, so that no two wait for each other.
  PERFORM pg_advisory_xact_lock(7284019, schloss) FROM (
    SELECT DISTINCT hashtext(einer::text) AS schloss FROM unnest(wer) AS einer ORDER BY schloss) AS schloesser;
  INSERT INTO schluessel.person (person_id, kennung, verpackt, seit)
    SELECT x.wer, x.name, x.neu, jetzt FROM unnest(wer, namen, neue) AS x (wer, name, neu)
     WHERE NOT EXISTS (SELECT FROM schluessel.person p WHERE p.person_id = x.wer)
       AND NOT EXISTS (SELECT FROM schluessel.vernichtet v WHERE v.person_id = x.wer);
END $$;
GRANT EXECUTE ON FUNCTION schluessel.hinterlegen_viele(uuid[], uuid[], bytea[], timestamptz) TO school_app;

INSERT INTO recht (rolle_id, ressource, aktion, umfang)
  SELECT r.id, 'Einlesung', 'einlesen', 'schule' FROM rolle r WHERE r.id = 'administrator'
ON CONFLICT DO NOTHING;
