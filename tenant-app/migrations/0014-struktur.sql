-- The school's structure: years, classes, subjects, courses; who teaches and who is enrolled from when to when; parents and children. What
-- holds for a time says so by a range of days, and the database refuses what overlaps.
CREATE SCHEMA erweiterung;
CREATE EXTENSION btree_gist SCHEMA erweiterung;

-- The day, for the school.
CREATE FUNCTION heute() RETURNS date LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
  SELECT (coalesce(nullif(current_setting('classmind.jetzt', true), '')::timestamptz, now()) AT TIME ZONE 'Europe/Berlin')::date
$$;
GRANT EXECUTE ON FUNCTION heute() TO school_app;

CREATE TABLE schuljahr (
  id uuid PRIMARY KEY,
  name text COLLATE deutsch NOT NULL UNIQUE CHECK (name <> '' AND length(name) <= 20),
  von date NOT NULL,
  bis date NOT NULL CHECK (bis > von),
  zweites_halbjahr_ab date NOT NULL CHECK (zweites_halbjahr_ab > von AND zweites_halbjahr_ab <= bis),
  version integer NOT NULL DEFAULT 1,
  CONSTRAINT schuljahr_ueberschneidung EXCLUDE USING gist (daterange(von, bis, '[]') WITH &&)
);
COMMENT ON TABLE schuljahr IS 'Schuljahre mit ihren Halbjahren';
COMMENT ON COLUMN schuljahr.id IS 'Kennzeichen des Schuljahres';
COMMENT ON COLUMN schuljahr.name IS 'Anzeige des Schuljahres';
COMMENT ON COLUMN schuljahr.von IS 'Erster Tag';
COMMENT ON COLUMN schuljahr.bis IS 'Letzter Tag';
COMMENT ON COLUMN schuljahr.zweites_halbjahr_ab IS 'Erster Tag des zweiten Halbjahres';
COMMENT ON COLUMN schuljahr.version IS 'Zählt Änderungen, damit ein altes Formular keine neuere überschreibt';
CREATE TRIGGER schuljahr_version BEFORE UPDATE ON schuljahr FOR EACH ROW EXECUTE FUNCTION version_zaehlen();

CREATE TABLE fach (
  id uuid PRIMARY KEY,
  kuerzel text COLLATE deutsch NOT NULL UNIQUE CHECK (kuerzel <> '' AND length(kuerzel) <= 12),
  name text COLLATE deutsch NOT NULL UNIQUE CHECK (name <> '' AND length(name) <= 60),
  aktiv boolean NOT NULL DEFAULT true,
  version integer NOT NULL DEFAULT 1
);
COMMENT ON TABLE fach IS 'Fächer der Schule';
COMMENT ON COLUMN fach.id IS 'Kennzeichen des Faches';
COMMENT ON COLUMN fach.kuerzel IS 'Kurze Anzeige des Faches';
COMMENT ON COLUMN fach.name IS 'Anzeige des Faches';
COMMENT ON COLUMN fach.aktiv IS 'Ob es für neue Kurse gewählt werden kann';
COMMENT ON COLUMN fach.version IS 'Zählt Änderungen, damit ein altes Formular keine neuere überschreibt';
CREATE TRIGGER fach_version BEFORE UPDATE ON fach FOR EACH ROW EXECUTE FUNCTION version_zaehlen();

CREATE TABLE klasse (
  id uuid PRIMARY KEY,
  schuljahr_id uuid NOT NULL REFERENCES schuljahr,
  name text COLLATE deutsch NOT NULL CHECK (name <> '' AND length(name) <= 20),
  version integer NOT NULL DEFAULT 1,
  CONSTRAINT klasse_name UNIQUE (schuljahr_id, name)
);
COMMENT ON TABLE klasse IS 'Klassen eines Schuljahres';
COMMENT ON COLUMN klasse.id IS 'Kennzeichen der Klasse';
COMMENT ON COLUMN klasse.schuljahr_id IS 'Schuljahr, in dem es sie gibt';
COMMENT ON COLUMN klasse.name IS 'Anzeige der Klasse';
COMMENT ON COLUMN klasse.version IS 'Zählt Änderungen, damit ein altes Formular keine neuere überschreibt';
CREATE TRIGGER klasse_version BEFORE UPDATE ON klasse FOR EACH ROW EXECUTE FUNCTION version_zaehlen();

-- A pupil is in one class on any day.
CREATE TABLE klassenmitglied (
  id uuid PRIMARY KEY,
  klasse_id uuid NOT NULL REFERENCES klasse,
  person_id uuid NOT NULL REFERENCES person,
  gueltig daterange NOT NULL CHECK (NOT isempty(gueltig) AND NOT lower_inf(gueltig) AND NOT upper_inf(gueltig)),
  CONSTRAINT klassenmitglied_ueberschneidung EXCLUDE USING gist (person_id WITH =, gueltig WITH &&)
);
CREATE INDEX klassenmitglied_klasse ON klassenmitglied (klasse_id);
COMMENT ON TABLE klassenmitglied IS 'Wer wann in welcher Klasse ist';
COMMENT ON COLUMN klassenmitglied.id IS 'Kennzeichen der Zugehörigkeit';
COMMENT ON COLUMN klassenmitglied.klasse_id IS 'Klasse';
COMMENT ON COLUMN klassenmitglied.person_id IS 'Schülerin oder Schüler';
COMMENT ON COLUMN klassenmitglied.gueltig IS 'Vom ersten bis zum letzten Tag';

CREATE TABLE klassenleitung (
  id uuid PRIMARY KEY,
  klasse_id uuid NOT NULL REFERENCES klasse,
  person_id uuid NOT NULL REFERENCES person,
  gueltig daterange NOT NULL CHECK (NOT isempty(gueltig) AND NOT lower_inf(gueltig) AND NOT upper_inf(gueltig)),
  CONSTRAINT klassenleitung_ueberschneidung EXCLUDE USING gist (klasse_id WITH =, person_id WITH =, gueltig WITH &&)
);
CREATE INDEX klassenleitung_person ON klassenleitung (person_id);
COMMENT ON TABLE klassenleitung IS 'Wer wann eine Klasse leitet';
COMMENT ON COLUMN klassenleitung.id IS 'Kennzeichen der Klassenleitung';
COMMENT ON COLUMN klassenleitung.klasse_id IS 'Klasse';
COMMENT ON COLUMN klassenleitung.person_id IS 'Lehrkraft';
COMMENT ON COLUMN klassenleitung.gueltig IS 'Vom ersten bis zum letzten Tag';

CREATE TABLE kurs (
  id uuid PRIMARY KEY,
  schuljahr_id uuid NOT NULL REFERENCES schuljahr,
  fach_id uuid NOT NULL REFERENCES fach,
  name text COLLATE deutsch NOT NULL CHECK (name <> '' AND length(name) <= 40),
  version integer NOT NULL DEFAULT 1,
  CONSTRAINT kurs_name UNIQUE (schuljahr_id, name)
);
COMMENT ON TABLE kurs IS 'Kurse: ein Fach, unterrichtet in einem Schuljahr';
COMMENT ON COLUMN kurs.id IS 'Kennzeichen des Kurses';
COMMENT ON COLUMN kurs.schuljahr_id IS 'Schuljahr, in dem er stattfindet';
COMMENT ON COLUMN kurs.fach_id IS 'Fach';
COMMENT ON COLUMN kurs.name IS 'Anzeige des Kurses';
COMMENT ON COLUMN kurs.version IS 'Zählt Änderungen, damit ein altes Formular keine neuere überschreibt';
CREATE TRIGGER kurs_version BEFORE UPDATE ON kurs FOR EACH ROW EXECUTE FUNCTION version_zaehlen();

CREATE TABLE unterrichtsauftrag (
  id uuid PRIMARY KEY,
  kurs_id uuid NOT NULL REFERENCES kurs,
  person_id uuid NOT NULL REFERENCES person,
  gueltig daterange NOT NULL CHECK (NOT isempty(gueltig) AND NOT lower_inf(gueltig) AND NOT upper_inf(gueltig)),
  CONSTRAINT unterrichtsauftrag_ueberschneidung EXCLUDE USING gist (person_id WITH =, kurs_id WITH =, gueltig WITH &&)
);
CREATE INDEX unterrichtsauftrag_kurs ON unterrichtsauftrag (kurs_id);
COMMENT ON TABLE unterrichtsauftrag IS 'Wer wann welchen Kurs unterrichtet';
COMMENT ON COLUMN unterrichtsauftrag.id IS 'Kennzeichen des Auftrags';
COMMENT ON COLUMN unterrichtsauftrag.kurs_id IS 'Kurs';
COMMENT ON COLUMN unterrichtsauftrag.person_id IS 'Lehrkraft';
COMMENT ON COLUMN unterrichtsauftrag.gueltig IS 'Vom ersten bis zum letzten Tag';

CREATE TABLE einschreibung (
  id uuid PRIMARY KEY,
  kurs_id uuid NOT NULL REFERENCES kurs,
  person_id uuid NOT NULL REFERENCES person,
  gueltig daterange NOT NULL CHECK (NOT isempty(gueltig) AND NOT lower_inf(gueltig) AND NOT upper_inf(gueltig)),
  CONSTRAINT einschreibung_ueberschneidung EXCLUDE USING gist (person_id WITH =, kurs_id WITH =, gueltig WITH &&)
);
CREATE INDEX einschreibung_kurs ON einschreibung (kurs_id);
COMMENT ON TABLE einschreibung IS 'Wer wann an welchem Kurs teilnimmt';
COMMENT ON COLUMN einschreibung.id IS 'Kennzeichen der Einschreibung';
COMMENT ON COLUMN einschreibung.kurs_id IS 'Kurs';
COMMENT ON COLUMN einschreibung.person_id IS 'Schülerin oder Schüler';
COMMENT ON COLUMN einschreibung.gueltig IS 'Vom ersten bis zum letzten Tag';

CREATE TABLE elternschaft (
  elternteil_id uuid NOT NULL REFERENCES person,
  kind_id uuid NOT NULL REFERENCES person,
  seit date NOT NULL,
  PRIMARY KEY (elternteil_id, kind_id),
  CHECK (elternteil_id <> kind_id)
);
CREATE INDEX elternschaft_kind ON elternschaft (kind_id);
COMMENT ON TABLE elternschaft IS 'Eltern und ihre Kinder';
COMMENT ON COLUMN elternschaft.elternteil_id IS 'Mutter, Vater oder wer sonst die Sorge hat';
COMMENT ON COLUMN elternschaft.kind_id IS 'Kind';
COMMENT ON COLUMN elternschaft.seit IS 'Seit wann es hier eingetragen ist';

-- What holds for a class or a course lies within its year: asked of the row and of the year, whichever changes.
CREATE FUNCTION im_schuljahr() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  jahr schuljahr;
BEGIN
  IF tg_table_name IN ('klassenmitglied', 'klassenleitung') THEN
    SELECT s.* INTO jahr FROM klasse k JOIN schuljahr s ON s.id = k.schuljahr_id WHERE k.id = new.klasse_id FOR SHARE OF s;
  ELSE
    SELECT s.* INTO jahr FROM kurs k JOIN schuljahr s ON s.id = k.schuljahr_id WHERE k.id = new.kurs_id FOR SHARE OF s;
  END IF;
  IF NOT new.gueltig <@ daterange(jahr.von, jahr.bis, '[]') THEN
    RAISE EXCEPTION USING ERRCODE = 'CM005', MESSAGE = 'outside of its school year';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER im_schuljahr BEFORE INSERT OR UPDATE ON klassenmitglied FOR EACH ROW EXECUTE FUNCTION im_schuljahr();
CREATE TRIGGER im_schuljahr BEFORE INSERT OR UPDATE ON klassenleitung FOR EACH ROW EXECUTE FUNCTION im_schuljahr();
CREATE TRIGGER im_schuljahr BEFORE INSERT OR UPDATE ON unterrichtsauftrag FOR EACH ROW EXECUTE FUNCTION im_schuljahr();
CREATE TRIGGER im_schuljahr BEFORE INSERT OR UPDATE ON einschreibung FOR EACH ROW EXECUTE FUNCTION im_schuljahr();
CREATE FUNCTION schuljahr_umfasst() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF EXISTS (
    SELECT FROM klasse k JOIN klassenmitglied m ON m.klasse_id = k.id
     WHERE k.schuljahr_id = new.id AND NOT m.gueltig <@ daterange(new.von, new.bis, '[]')
    UNION ALL SELECT FROM klasse k JOIN klassenleitung m ON m.klasse_id = k.id
     WHERE k.schuljahr_id = new.id AND NOT m.gueltig <@ daterange(new.von, new.bis, '[]')
    UNION ALL SELECT FROM kurs k JOIN unterrichtsauftrag m ON m.kurs_id = k.id
     WHERE k.schuljahr_id = new.id AND NOT m.gueltig <@ daterange(new.von, new.bis, '[]')
    UNION ALL SELECT FROM kurs k JOIN einschreibung m ON m.kurs_id = k.id
     WHERE k.schuljahr_id = new.id AND NOT m.gueltig <@ daterange(new.von, new.bis, '[]')) THEN
    RAISE EXCEPTION USING ERRCODE = 'CM005', MESSAGE = 'something of this school year would lie outside of it';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER schuljahr_umfasst AFTER UPDATE OF von, bis ON schuljahr FOR EACH ROW EXECUTE FUNCTION schuljahr_umfasst();

-- Changes of who teaches what, for the head of the school: noted by the database, whoever makes them.
CREATE TABLE auftragsaenderung (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  zeit timestamptz NOT NULL,
  konto_id uuid,
  kurs_id uuid NOT NULL REFERENCES kurs,
  person_id uuid NOT NULL REFERENCES person,
  vorher daterange,
  nachher daterange
);
CREATE INDEX auftragsaenderung_zeit ON auftragsaenderung (zeit, id);
COMMENT ON TABLE auftragsaenderung IS 'Änderungen von Unterrichtsaufträgen, für die Schulleitung';
COMMENT ON COLUMN auftragsaenderung.id IS 'Kennzeichen der Änderung';
COMMENT ON COLUMN auftragsaenderung.zeit IS 'Zeitpunkt der Änderung';
COMMENT ON COLUMN auftragsaenderung.konto_id IS 'Wer geändert hat';
COMMENT ON COLUMN auftragsaenderung.kurs_id IS 'Kurs';
COMMENT ON COLUMN auftragsaenderung.person_id IS 'Lehrkraft';
COMMENT ON COLUMN auftragsaenderung.vorher IS 'Geltung vor der Änderung; leer, wenn es ihn nicht gab';
COMMENT ON COLUMN auftragsaenderung.nachher IS 'Geltung nach der Änderung; leer, wenn es ihn nicht mehr gibt';
CREATE FUNCTION auftrag_merken() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  INSERT INTO auftragsaenderung (zeit, konto_id, kurs_id, person_id, vorher, nachher)
    VALUES (clock_timestamp(), ich(),
      CASE WHEN tg_op = 'DELETE' THEN old.kurs_id ELSE new.kurs_id END,
      CASE WHEN tg_op = 'DELETE' THEN old.person_id ELSE new.person_id END,
      CASE WHEN tg_op = 'INSERT' THEN NULL ELSE old.gueltig END,
      CASE WHEN tg_op = 'DELETE' THEN NULL ELSE new.gueltig END);
  RETURN NULL;
END $$;
CREATE TRIGGER auftrag_merken AFTER INSERT OR UPDATE OR DELETE ON unterrichtsauftrag
  FOR EACH ROW EXECUTE FUNCTION auftrag_merken();

-- Who may what, on this day.
CREATE VIEW bezug.kurs (id, aktion, umfang) AS
  SELECT k.id, a.aktion, 'schule' FROM kurs k CROSS JOIN (VALUES ('lesen'), ('bearbeiten')) AS a (aktion)
  UNION ALL
  SELECT u.kurs_id, 'lesen', 'unterrichtet' FROM unterrichtsauftrag u
   WHERE u.person_id = (SELECT ich()) AND u.gueltig @> (SELECT heute())
  UNION ALL
  SELECT e.kurs_id, 'lesen', 'eigen' FROM einschreibung e
   WHERE e.person_id = (SELECT ich()) AND e.gueltig @> (SELECT heute())
  UNION ALL
  SELECT e.kurs_id, 'lesen', 'kind' FROM elternschaft s JOIN einschreibung e ON e.person_id = s.kind_id
   WHERE s.elternteil_id = (SELECT ich()) AND e.gueltig @> (SELECT heute());
-- A class is taught by who leads it, and by who teaches a course that somebody of the class takes.
CREATE VIEW bezug.klasse (id, aktion, umfang) AS
  SELECT k.id, a.aktion, 'schule' FROM klasse k CROSS JOIN (VALUES ('lesen'), ('bearbeiten')) AS a (aktion)
  UNION ALL
  SELECT l.klasse_id, 'lesen', 'unterrichtet' FROM klassenleitung l
   WHERE l.person_id = (SELECT ich()) AND l.gueltig @> (SELECT heute())
  UNION ALL
  SELECT m.klasse_id, 'lesen', 'unterrichtet'
    FROM unterrichtsauftrag u
    JOIN einschreibung e ON e.kurs_id = u.kurs_id AND e.gueltig @> (SELECT heute())
    JOIN klassenmitglied m ON m.person_id = e.person_id AND m.gueltig @> (SELECT heute())
   WHERE u.person_id = (SELECT ich()) AND u.gueltig @> (SELECT heute())
  UNION ALL
  SELECT m.klasse_id, 'lesen', 'eigen' FROM klassenmitglied m
   WHERE m.person_id = (SELECT ich()) AND m.gueltig @> (SELECT heute())
  UNION ALL
  SELECT m.klasse_id, 'lesen', 'kind' FROM elternschaft s JOIN klassenmitglied m ON m.person_id = s.kind_id
   WHERE s.elternteil_id = (SELECT ich()) AND m.gueltig @> (SELECT heute());
-- Nobody changes their own assignment, but for those who have the right to that.
CREATE VIEW bezug.unterrichtsauftrag (id, aktion, umfang) AS
  SELECT u.id, 'lesen', 'schule' FROM unterrichtsauftrag u
  UNION ALL
  SELECT u.id, 'bearbeiten', 'schule' FROM unterrichtsauftrag u
   WHERE u.person_id <> (SELECT ich()) OR (SELECT 'schule' = ANY (meine_umfaenge('Unterrichtsauftrag', 'eigener')))
  UNION ALL
  SELECT u.id, 'lesen', 'unterrichtet' FROM unterrichtsauftrag u WHERE u.person_id = (SELECT ich());
CREATE VIEW bezug.einschreibung (id, aktion, umfang) AS
  SELECT e.id, a.aktion, 'schule' FROM einschreibung e CROSS JOIN (VALUES ('lesen'), ('bearbeiten')) AS a (aktion)
  UNION ALL
  SELECT e.id, 'lesen', 'unterrichtet' FROM unterrichtsauftrag u JOIN einschreibung e ON e.kurs_id = u.kurs_id
   WHERE u.person_id = (SELECT ich()) AND u.gueltig @> (SELECT heute())
  UNION ALL
  SELECT e.id, 'lesen', 'eigen' FROM einschreibung e WHERE e.person_id = (SELECT ich())
  UNION ALL
  SELECT e.id, 'lesen', 'kind' FROM elternschaft s JOIN einschreibung e ON e.person_id = s.kind_id
   WHERE s.elternteil_id = (SELECT ich());
CREATE VIEW bezug.schuljahr (id, aktion, umfang) AS SELECT s.id, 'bearbeiten', 'schule' FROM schuljahr s;
CREATE VIEW bezug.fach (id, aktion, umfang) AS SELECT f.id, 'bearbeiten', 'schule' FROM fach f;
GRANT SELECT ON bezug.kurs, bezug.klasse, bezug.unterrichtsauftrag, bezug.einschreibung, bezug.schuljahr, bezug.fach TO school_app;

DO $$
DECLARE
  t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['schuljahr', 'fach', 'klasse', 'klassenmitglied', 'klassenleitung', 'kurs', 'unterrichtsauftrag', 'einschreibung',
    'elternschaft', 'auftragsaenderung'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
  END LOOP;
  FOR t IN SELECT * FROM (VALUES ('schuljahr'), ('fach'), ('klasse'), ('kurs')) AS x LOOP
    EXECUTE format('CREATE CONSTRAINT TRIGGER protokoll AFTER INSERT OR UPDATE OR DELETE ON %I DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW EXECUTE FUNCTION journal.verlangen(''id'')', t);
  END LOOP;
  FOR t IN SELECT * FROM (VALUES ('klassenmitglied'), ('klassenleitung'), ('unterrichtsauftrag'), ('einschreibung')) AS x LOOP
    EXECUTE format('CREATE CONSTRAINT TRIGGER protokoll AFTER INSERT OR UPDATE OR DELETE ON %I DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW EXECUTE FUNCTION journal.verlangen(''id'')', t);
  END LOOP;
  CREATE CONSTRAINT TRIGGER protokoll AFTER INSERT OR UPDATE OR DELETE ON elternschaft DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION journal.verlangen('kind_id');
END $$;

-- What years and subjects there are, everybody who is signed in may know; editing needs the right to edit courses.
CREATE POLICY schuljahr_lesen ON schuljahr FOR SELECT TO school_app USING ((SELECT ich()) IS NOT NULL);
CREATE POLICY schuljahr_anlegen ON schuljahr FOR INSERT TO school_app
  WITH CHECK ((SELECT 'schule' = ANY (meine_umfaenge('Kurs', 'bearbeiten'))));
CREATE POLICY schuljahr_aendern ON schuljahr FOR UPDATE TO school_app
  USING ((SELECT 'schule' = ANY (meine_umfaenge('Kurs', 'bearbeiten'))));
CREATE POLICY schuljahr_loeschen ON schuljahr FOR DELETE TO school_app
  USING ((SELECT 'schule' = ANY (meine_umfaenge('Kurs', 'bearbeiten'))));
CREATE POLICY fach_lesen ON fach FOR SELECT TO school_app USING ((SELECT ich()) IS NOT NULL);
CREATE POLICY fach_anlegen ON fach FOR INSERT TO school_app
  WITH CHECK ((SELECT 'schule' = ANY (meine_umfaenge('Kurs', 'bearbeiten'))));
CREATE POLICY fach_aendern ON fach FOR UPDATE TO school_app
  USING ((SELECT 'schule' = ANY (meine_umfaenge('Kurs', 'bearbeiten'))));
CREATE POLICY fach_loeschen ON fach FOR DELETE TO school_app
  USING ((SELECT 'schule' = ANY (meine_umfaenge('Kurs', 'bearbeiten'))));

CREATE POLICY klasse_lesen ON klasse FOR SELECT TO school_app
  USING (id IN (SELECT b.id FROM bezug.klasse b WHERE b.aktion = 'lesen'
    AND b.umfang = ANY ((SELECT meine_umfaenge('Klasse', 'lesen'))::text[])));
CREATE POLICY klasse_anlegen ON klasse FOR INSERT TO school_app
  WITH CHECK ((SELECT 'schule' = ANY (meine_umfaenge('Klasse', 'bearbeiten'))));
CREATE POLICY klasse_aendern ON klasse FOR UPDATE TO school_app
  USING ((SELECT 'schule' = ANY (meine_umfaenge('Klasse', 'bearbeiten'))));
CREATE POLICY klasse_loeschen ON klasse FOR DELETE TO school_app
  USING ((SELECT 'schule' = ANY (meine_umfaenge('Klasse', 'bearbeiten'))));
CREATE POLICY mitglied_lesen ON klassenmitglied FOR SELECT TO school_app
  USING (person_id = (SELECT ich()) OR person_id IN (SELECT s.kind_id FROM elternschaft s WHERE s.elternteil_id = (SELECT ich())) OR klasse_id IN (SELECT b.id FROM bezug.klasse b WHERE b.aktion = 'lesen'
    AND b.umfang IN ('unterrichtet', 'schule') AND b.umfang = ANY ((SELECT meine_umfaenge('Klasse', 'lesen'))::text[])));
CREATE POLICY mitglied_anlegen ON klassenmitglied FOR INSERT TO school_app
  WITH CHECK ((SELECT 'schule' = ANY (meine_umfaenge('Klasse', 'bearbeiten'))));
CREATE POLICY mitglied_aendern ON klassenmitglied FOR UPDATE TO school_app
  USING ((SELECT 'schule' = ANY (meine_umfaenge('Klasse', 'bearbeiten'))));
CREATE POLICY mitglied_loeschen ON klassenmitglied FOR DELETE TO school_app
  USING ((SELECT 'schule' = ANY (meine_umfaenge('Klasse', 'bearbeiten'))));
CREATE POLICY leitung_lesen ON klassenleitung FOR SELECT TO school_app
  USING (klasse_id IN (SELECT b.id FROM bezug.klasse b WHERE b.aktion = 'lesen'
    AND b.umfang = ANY ((SELECT meine_umfaenge('Klasse', 'lesen'))::text[])));
-- To lead a class is to see it: not one's own to give oneself.
CREATE POLICY leitung_anlegen ON klassenleitung FOR INSERT TO school_app
  WITH CHECK ((SELECT 'schule' = ANY (meine_umfaenge('Klasse', 'bearbeiten')))
    AND (person_id <> (SELECT ich()) OR (SELECT 'schule' = ANY (meine_umfaenge('Unterrichtsauftrag', 'eigener')))));
CREATE POLICY leitung_aendern ON klassenleitung FOR UPDATE TO school_app
  USING ((SELECT 'schule' = ANY (meine_umfaenge('Klasse', 'bearbeiten')))
    AND (person_id <> (SELECT ich()) OR (SELECT 'schule' = ANY (meine_umfaenge('Unterrichtsauftrag', 'eigener')))));
CREATE POLICY leitung_loeschen ON klassenleitung FOR DELETE TO school_app
  USING ((SELECT 'schule' = ANY (meine_umfaenge('Klasse', 'bearbeiten')))
    AND (person_id <> (SELECT ich()) OR (SELECT 'schule' = ANY (meine_umfaenge('Unterrichtsauftrag', 'eigener')))));

CREATE POLICY kurs_lesen ON kurs FOR SELECT TO school_app
  USING (id IN (SELECT b.id FROM bezug.kurs b WHERE b.aktion = 'lesen'
    AND b.umfang = ANY ((SELECT meine_umfaenge('Kurs', 'lesen'))::text[])));
CREATE POLICY kurs_anlegen ON kurs FOR INSERT TO school_app
  WITH CHECK ((SELECT 'schule' = ANY (meine_umfaenge('Kurs', 'bearbeiten'))));
CREATE POLICY kurs_aendern ON kurs FOR UPDATE TO school_app
  USING ((SELECT 'schule' = ANY (meine_umfaenge('Kurs', 'bearbeiten'))));
CREATE POLICY kurs_loeschen ON kurs FOR DELETE TO school_app
  USING ((SELECT 'schule' = ANY (meine_umfaenge('Kurs', 'bearbeiten'))));
-- Whoever sees a course sees who teaches it.
CREATE POLICY auftrag_lesen ON unterrichtsauftrag FOR SELECT TO school_app
  USING (kurs_id IN (SELECT b.id FROM bezug.kurs b WHERE b.aktion = 'lesen'
    AND b.umfang = ANY ((SELECT meine_umfaenge('Kurs', 'lesen'))::text[])) OR person_id = (SELECT ich()));
CREATE POLICY auftrag_anlegen ON unterrichtsauftrag FOR INSERT TO school_app
  WITH CHECK ((SELECT 'schule' = ANY (meine_umfaenge('Unterrichtsauftrag', 'bearbeiten')))
    AND (person_id <> (SELECT ich()) OR (SELECT 'schule' = ANY (meine_umfaenge('Unterrichtsauftrag', 'eigener')))));
CREATE POLICY auftrag_aendern ON unterrichtsauftrag FOR UPDATE TO school_app
  USING ((SELECT 'schule' = ANY (meine_umfaenge('Unterrichtsauftrag', 'bearbeiten')))
    AND EXISTS (SELECT FROM bezug.unterrichtsauftrag b WHERE b.id = unterrichtsauftrag.id AND b.aktion = 'bearbeiten'));
CREATE POLICY auftrag_loeschen ON unterrichtsauftrag FOR DELETE TO school_app
  USING ((SELECT 'schule' = ANY (meine_umfaenge('Unterrichtsauftrag', 'bearbeiten')))
    AND EXISTS (SELECT FROM bezug.unterrichtsauftrag b WHERE b.id = unterrichtsauftrag.id AND b.aktion = 'bearbeiten'));
CREATE POLICY einschreibung_lesen ON einschreibung FOR SELECT TO school_app
  USING (id IN (SELECT b.id FROM bezug.einschreibung b WHERE b.aktion = 'lesen'
    AND b.umfang = ANY ((SELECT meine_umfaenge('Einschreibung', 'lesen'))::text[])));
CREATE POLICY einschreibung_anlegen ON einschreibung FOR INSERT TO school_app
  WITH CHECK ((SELECT 'schule' = ANY (meine_umfaenge('Einschreibung', 'bearbeiten'))));
CREATE POLICY einschreibung_aendern ON einschreibung FOR UPDATE TO school_app
  USING ((SELECT 'schule' = ANY (meine_umfaenge('Einschreibung', 'bearbeiten'))));
CREATE POLICY einschreibung_loeschen ON einschreibung FOR DELETE TO school_app
  USING ((SELECT 'schule' = ANY (meine_umfaenge('Einschreibung', 'bearbeiten'))));
CREATE POLICY aenderung_lesen ON auftragsaenderung FOR SELECT TO school_app
  USING ((SELECT 'schule' = ANY (meine_umfaenge('Unterrichtsauftrag', 'eigener'))));

-- Families: oneself, or with the right to know everybody.
CREATE POLICY elternschaft_lesen ON elternschaft FOR SELECT TO school_app
  USING (elternteil_id = (SELECT ich()) OR kind_id = (SELECT ich()) OR (SELECT 'schule' = ANY (meine_umfaenge('Person', 'lesen'))));
CREATE POLICY elternschaft_anlegen ON elternschaft FOR INSERT TO school_app
  WITH CHECK (elternteil_id <> (SELECT ich()) AND (SELECT 'schule' = ANY (meine_umfaenge('Person', 'bearbeiten'))));
CREATE POLICY elternschaft_loeschen ON elternschaft FOR DELETE TO school_app
  USING (elternteil_id <> (SELECT ich()) AND (SELECT 'schule' = ANY (meine_umfaenge('Person', 'bearbeiten'))));

GRANT SELECT, INSERT, DELETE ON schuljahr, fach, klasse, klassenmitglied, klassenleitung, kurs, unterrichtsauftrag, einschreibung, elternschaft
  TO school_app;
GRANT UPDATE (name, von, bis, zweites_halbjahr_ab) ON schuljahr TO school_app;
GRANT UPDATE (kuerzel, name, aktiv) ON fach TO school_app;
GRANT UPDATE (name) ON klasse TO school_app;
GRANT UPDATE (name, fach_id) ON kurs TO school_app;
GRANT UPDATE (gueltig) ON klassenmitglied, klassenleitung, unterrichtsauftrag, einschreibung TO school_app;
GRANT SELECT ON auftragsaenderung TO school_app;

INSERT INTO recht (rolle_id, ressource, aktion, umfang)
  SELECT r.id, x.ressource, x.aktion, x.umfang FROM (VALUES
    ('schulleitung', 'Klasse', 'lesen', 'schule'), ('schulleitung', 'Klasse', 'bearbeiten', 'schule'),
    ('schulleitung', 'Kurs', 'lesen', 'schule'), ('schulleitung', 'Kurs', 'bearbeiten', 'schule'),
    ('schulleitung', 'Unterrichtsauftrag', 'bearbeiten', 'schule'), ('schulleitung', 'Unterrichtsauftrag', 'eigener', 'schule'),
    ('schulleitung', 'Einschreibung', 'lesen', 'schule'), ('schulleitung', 'Einschreibung', 'bearbeiten', 'schule'),
    ('lehrer', 'Klasse', 'lesen', 'unterrichtet'), ('lehrer', 'Kurs', 'lesen', 'unterrichtet'),
    ('lehrer', 'Einschreibung', 'lesen', 'unterrichtet'),
    ('schueler', 'Klasse', 'lesen', 'eigen'), ('schueler', 'Kurs', 'lesen', 'eigen'), ('schueler', 'Einschreibung', 'lesen', 'eigen'),
    ('eltern', 'Klasse', 'lesen', 'kind'), ('eltern', 'Kurs', 'lesen', 'kind'), ('eltern', 'Einschreibung', 'lesen', 'kind'),
    ('administrator', 'Klasse', 'lesen', 'schule'), ('administrator', 'Klasse', 'bearbeiten', 'schule'),
    ('administrator', 'Kurs', 'lesen', 'schule'), ('administrator', 'Kurs', 'bearbeiten', 'schule'),
    ('administrator', 'Unterrichtsauftrag', 'bearbeiten', 'schule'),
    ('administrator', 'Einschreibung', 'lesen', 'schule'), ('administrator', 'Einschreibung', 'bearbeiten', 'schule')
  ) AS x (rolle, ressource, aktion, umfang) JOIN rolle r ON r.id = x.rolle
ON CONFLICT DO NOTHING;
