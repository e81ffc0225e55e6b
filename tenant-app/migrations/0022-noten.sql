-- Marks. What a pupil got is sealed with the pupil's own key; how it is reckoned is decided by the school in profiles.

-- How marks are reckoned, for many courses: the scale, what a tendency counts, how is rounded, and the categories with their weights.
CREATE TABLE notenprofil (
  id uuid PRIMARY KEY,
  name text COLLATE deutsch NOT NULL CONSTRAINT notenprofil_name UNIQUE CHECK (name <> '' AND length(name) <= 60),
  skala text NOT NULL CHECK (skala IN ('noten', 'tendenzen', 'punkte')),
  tendenz text NOT NULL CHECK (tendenz IN ('drittel', 'viertel', 'drei_zehntel')),
  halbe text NOT NULL CHECK (halbe IN ('besser', 'schlechter')),
  abschneiden smallint CHECK (abschneiden BETWEEN 0 AND 2),
  aktiv boolean NOT NULL DEFAULT true,
  version integer NOT NULL DEFAULT 1
);
COMMENT ON TABLE notenprofil IS 'Wie Noten berechnet werden: Notenskala, Rundung und Gewichte';
COMMENT ON COLUMN notenprofil.id IS 'Kennzeichen des Notenprofils';
COMMENT ON COLUMN notenprofil.name IS 'Anzeige des Notenprofils';
COMMENT ON COLUMN notenprofil.skala IS 'Noten 1 bis 6, mit oder ohne Tendenz, oder Punkte 15 bis 0';
COMMENT ON COLUMN notenprofil.tendenz IS 'Wie viel ein Plus oder Minus zählt';
COMMENT ON COLUMN notenprofil.halbe IS 'Ob n,50 zur besseren oder zur schlechteren Note gerundet wird';
COMMENT ON COLUMN notenprofil.abschneiden IS 'Nachkommastellen, die vor dem Runden bleiben; leer: es wird nichts abgeschnitten';
COMMENT ON COLUMN notenprofil.aktiv IS 'Ob es für Kurse gewählt werden kann';
COMMENT ON COLUMN notenprofil.version IS 'Zählt Änderungen, damit ein altes Formular keine neuere überschreibt';
CREATE TRIGGER notenprofil_version BEFORE UPDATE ON notenprofil FOR EACH ROW EXECUTE FUNCTION version_zaehlen();

CREATE TABLE notenkategorie (
  id uuid PRIMARY KEY,
  profil_id uuid NOT NULL REFERENCES notenprofil ON DELETE CASCADE,
  ueber_id uuid CHECK (ueber_id <> id),
  name text COLLATE deutsch NOT NULL CHECK (name <> '' AND length(name) <= 40),
  gewicht smallint NOT NULL CHECK (gewicht BETWEEN 0 AND 100),
  anteil smallint CHECK (anteil BETWEEN 1 AND 99),
  streichen smallint NOT NULL DEFAULT 0 CHECK (streichen BETWEEN 0 AND 5),
  rang smallint NOT NULL,
  UNIQUE (id, profil_id),
  CONSTRAINT notenkategorie_name UNIQUE (profil_id, name) DEFERRABLE,
  CONSTRAINT notenkategorie_ueber FOREIGN KEY (ueber_id, profil_id) REFERENCES notenkategorie (id, profil_id) DEFERRABLE INITIALLY DEFERRED
);
COMMENT ON TABLE notenkategorie IS 'Teile einer Note mit ihren Gewichten, zum Beispiel schriftlich und mündlich';
COMMENT ON COLUMN notenkategorie.id IS 'Kennzeichen der Kategorie';
COMMENT ON COLUMN notenkategorie.profil_id IS 'Notenprofil';
COMMENT ON COLUMN notenkategorie.ueber_id IS 'Kategorie, zu der sie gehört';
COMMENT ON COLUMN notenkategorie.name IS 'Anzeige der Kategorie';
COMMENT ON COLUMN notenkategorie.gewicht IS 'Gewicht neben den anderen; 0: wird gezeigt und zählt nicht';
COMMENT ON COLUMN notenkategorie.anteil IS 'Fester Anteil in Prozent, statt des Gewichts';
COMMENT ON COLUMN notenkategorie.streichen IS 'Wie viele der schlechtesten Noten nicht zählen';
COMMENT ON COLUMN notenkategorie.rang IS 'Reihenfolge der Anzeige';

-- Percent to marks.
CREATE TABLE notenschluessel (
  id uuid PRIMARY KEY,
  name text COLLATE deutsch NOT NULL CONSTRAINT notenschluessel_name UNIQUE CHECK (name <> '' AND length(name) <= 60),
  skala text NOT NULL CHECK (skala IN ('noten', 'tendenzen', 'punkte')),
  aktiv boolean NOT NULL DEFAULT true,
  version integer NOT NULL DEFAULT 1
);
COMMENT ON TABLE notenschluessel IS 'Ab wie viel Prozent es welche Note gibt';
COMMENT ON COLUMN notenschluessel.id IS 'Kennzeichen des Notenschlüssels';
COMMENT ON COLUMN notenschluessel.name IS 'Anzeige des Notenschlüssels';
COMMENT ON COLUMN notenschluessel.skala IS 'Notenskala, für die er gilt';
COMMENT ON COLUMN notenschluessel.aktiv IS 'Ob er für neue Leistungen gewählt werden kann';
COMMENT ON COLUMN notenschluessel.version IS 'Zählt Änderungen, damit ein altes Formular keine neuere überschreibt';
CREATE TRIGGER notenschluessel_version BEFORE UPDATE ON notenschluessel FOR EACH ROW EXECUTE FUNCTION version_zaehlen();
CREATE TABLE notenschluesselstufe (
  schluessel_id uuid NOT NULL REFERENCES notenschluessel ON DELETE CASCADE,
  note text NOT NULL CHECK (note ~ '^([1-6][+-]?|[0-9]|1[0-5])$'),
  ab_prozent numeric(5, 2) NOT NULL CHECK (ab_prozent BETWEEN 0 AND 100),
  PRIMARY KEY (schluessel_id, note)
);
COMMENT ON TABLE notenschluesselstufe IS 'Stufen eines Notenschlüssels';
COMMENT ON COLUMN notenschluesselstufe.schluessel_id IS 'Notenschlüssel';
COMMENT ON COLUMN notenschluesselstufe.note IS 'Note';
COMMENT ON COLUMN notenschluesselstufe.ab_prozent IS 'Ab so viel Prozent der Punkte';

-- How a course is graded.
CREATE TABLE kursnoten (
  kurs_id uuid PRIMARY KEY REFERENCES kurs,
  profil_id uuid NOT NULL REFERENCES notenprofil,
  freigegeben_1 timestamptz,
  freigegeben_2 timestamptz,
  version integer NOT NULL DEFAULT 1
);
CREATE INDEX kursnoten_profil ON kursnoten (profil_id);
COMMENT ON TABLE kursnoten IS 'Notenprofil eines Kurses, und ob seine Halbjahresnoten gezeigt werden';
COMMENT ON COLUMN kursnoten.kurs_id IS 'Kurs';
COMMENT ON COLUMN kursnoten.profil_id IS 'Notenprofil, nach dem berechnet wird';
COMMENT ON COLUMN kursnoten.freigegeben_1 IS 'Seit wann die Noten des ersten Halbjahres Schülern und Eltern gezeigt werden';
COMMENT ON COLUMN kursnoten.freigegeben_2 IS 'Seit wann die Noten des zweiten Halbjahres Schülern und Eltern gezeigt werden';
COMMENT ON COLUMN kursnoten.version IS 'Zählt Änderungen, damit ein altes Formular keine neuere überschreibt';
CREATE TRIGGER kursnoten_version BEFORE UPDATE ON kursnoten FOR EACH ROW EXECUTE FUNCTION version_zaehlen();

-- What is graded: a column of the book of marks.
CREATE TABLE leistung (
  id uuid PRIMARY KEY,
  kurs_id uuid NOT NULL REFERENCES kurs,
  halbjahr smallint NOT NULL CHECK (halbjahr IN (1, 2)),
  kategorie_id uuid NOT NULL REFERENCES notenkategorie,
  name text COLLATE deutsch NOT NULL CHECK (name <> '' AND length(name) <= 60),
  datum date NOT NULL,
  faktor smallint NOT NULL DEFAULT 1 CHECK (faktor BETWEEN 0 AND 10),
  hoechstpunkte numeric(6, 2) CHECK (hoechstpunkte > 0),
  schluessel_id uuid REFERENCES notenschluessel,
  sichtbar boolean NOT NULL DEFAULT true,
  version integer NOT NULL DEFAULT 1,
  CHECK ((hoechstpunkte IS NULL) = (schluessel_id IS NULL)),
  UNIQUE (id, kurs_id)
);
CREATE INDEX leistung_kurs ON leistung (kurs_id, halbjahr, datum);
CREATE INDEX leistung_kategorie ON leistung (kategorie_id);
CREATE INDEX leistung_schluessel ON leistung (schluessel_id) WHERE schluessel_id IS NOT NULL;
COMMENT ON TABLE leistung IS 'Was benotet wird: Klassenarbeiten, Tests, mündliche Leistungen';
COMMENT ON COLUMN leistung.id IS 'Kennzeichen der Leistung';
COMMENT ON COLUMN leistung.kurs_id IS 'Kurs';
COMMENT ON COLUMN leistung.halbjahr IS 'Halbjahr, für das sie zählt';
COMMENT ON COLUMN leistung.kategorie_id IS 'Kategorie des Notenprofils';
COMMENT ON COLUMN leistung.name IS 'Anzeige der Leistung';
COMMENT ON COLUMN leistung.datum IS 'Tag der Leistung';
COMMENT ON COLUMN leistung.faktor IS 'Wie oft sie zählt';
COMMENT ON COLUMN leistung.hoechstpunkte IS 'Höchste Punktzahl, wenn Punkte eingetragen werden';
COMMENT ON COLUMN leistung.schluessel_id IS 'Notenschlüssel, wenn Punkte eingetragen werden';
COMMENT ON COLUMN leistung.sichtbar IS 'Ob Schüler und Eltern ihre Note sehen';
COMMENT ON COLUMN leistung.version IS 'Zählt Änderungen, damit ein altes Formular keine neuere überschreibt';
CREATE TRIGGER leistung_version BEFORE UPDATE ON leistung FOR EACH ROW EXECUTE FUNCTION version_zaehlen();

CREATE TABLE note (
  id uuid PRIMARY KEY,
  leistung_id uuid NOT NULL,
  kurs_id uuid NOT NULL,
  person_id uuid NOT NULL REFERENCES person,
  verschlossen bytea NOT NULL,
  geaendert_am timestamptz NOT NULL,
  version integer NOT NULL DEFAULT 1,
  CONSTRAINT note_einmal UNIQUE (leistung_id, person_id),
  CONSTRAINT note_leistung FOREIGN KEY (leistung_id, kurs_id) REFERENCES leistung (id, kurs_id)
);
CREATE INDEX note_person ON note (person_id);
CREATE INDEX note_kurs ON note (kurs_id);
COMMENT ON TABLE note IS 'Noten für einzelne Leistungen';
COMMENT ON COLUMN note.id IS 'Kennzeichen der Note';
COMMENT ON COLUMN note.leistung_id IS 'Wofür';
COMMENT ON COLUMN note.kurs_id IS 'Kurs der Leistung';
COMMENT ON COLUMN note.person_id IS 'Wer sie bekommen hat';
COMMENT ON COLUMN note.verschlossen IS 'Note und Punkte, verschlüsselt mit dem Schlüssel der Person';
COMMENT ON COLUMN note.geaendert_am IS 'Letzte Änderung';
COMMENT ON COLUMN note.version IS 'Zählt Änderungen, damit ein altes Formular keine neuere überschreibt';
CREATE TRIGGER note_version BEFORE UPDATE ON note FOR EACH ROW EXECUTE FUNCTION version_zaehlen();

-- The mark of a half-year that the teacher gives, beside the reckoned one.
CREATE TABLE halbjahresnote (
  id uuid PRIMARY KEY,
  kurs_id uuid NOT NULL REFERENCES kurs,
  halbjahr smallint NOT NULL CHECK (halbjahr IN (1, 2)),
  person_id uuid NOT NULL REFERENCES person,
  verschlossen bytea NOT NULL,
  geaendert_am timestamptz NOT NULL,
  version integer NOT NULL DEFAULT 1,
  CONSTRAINT halbjahresnote_einmal UNIQUE (kurs_id, halbjahr, person_id)
);
CREATE INDEX halbjahresnote_person ON halbjahresnote (person_id);
COMMENT ON TABLE halbjahresnote IS 'Noten für ein Halbjahr, wie die Lehrkraft sie gibt';
COMMENT ON COLUMN halbjahresnote.id IS 'Kennzeichen der Note';
COMMENT ON COLUMN halbjahresnote.kurs_id IS 'Kurs';
COMMENT ON COLUMN halbjahresnote.halbjahr IS 'Halbjahr';
COMMENT ON COLUMN halbjahresnote.person_id IS 'Wer sie bekommen hat';
COMMENT ON COLUMN halbjahresnote.verschlossen IS 'Note, verschlüsselt mit dem Schlüssel der Person';
COMMENT ON COLUMN halbjahresnote.geaendert_am IS 'Letzte Änderung';
COMMENT ON COLUMN halbjahresnote.version IS 'Zählt Änderungen, damit ein altes Formular keine neuere überschreibt';
CREATE TRIGGER halbjahresnote_version BEFORE UPDATE ON halbjahresnote FOR EACH ROW EXECUTE FUNCTION version_zaehlen();

-- What was entered at once, so that it can be taken back.
CREATE TABLE noteneingabe (
  id uuid PRIMARY KEY,
  kurs_id uuid NOT NULL REFERENCES kurs,
  halbjahr smallint NOT NULL CHECK (halbjahr IN (1, 2)),
  konto_id uuid NOT NULL REFERENCES person,
  zeit timestamptz NOT NULL,
  zurueckgenommen_am timestamptz
);
CREATE INDEX noteneingabe_folge ON noteneingabe (konto_id, kurs_id, zeit);
COMMENT ON TABLE noteneingabe IS 'Was jemand zusammen eingetragen hat, um es zurücknehmen zu können; nach 30 Tagen gelöscht';
COMMENT ON COLUMN noteneingabe.id IS 'Kennzeichen der Eingabe';
COMMENT ON COLUMN noteneingabe.kurs_id IS 'Kurs';
COMMENT ON COLUMN noteneingabe.halbjahr IS 'Halbjahr';
COMMENT ON COLUMN noteneingabe.konto_id IS 'Wer eingetragen hat';
COMMENT ON COLUMN noteneingabe.zeit IS 'Wann';
COMMENT ON COLUMN noteneingabe.zurueckgenommen_am IS 'Wann sie zurückgenommen wurde';
CREATE TABLE noteneingabe_schritt (
  eingabe_id uuid NOT NULL REFERENCES noteneingabe ON DELETE CASCADE,
  note_id uuid NOT NULL,
  leistung_id uuid REFERENCES leistung ON DELETE CASCADE,
  person_id uuid NOT NULL REFERENCES person ON DELETE CASCADE,
  vorher bytea,
  nachher bytea,
  PRIMARY KEY (eingabe_id, note_id)
);
CREATE INDEX noteneingabe_schritt_person ON noteneingabe_schritt (person_id);
CREATE INDEX noteneingabe_schritt_leistung ON noteneingabe_schritt (leistung_id) WHERE leistung_id IS NOT NULL;
COMMENT ON TABLE noteneingabe_schritt IS 'Die einzelnen Noten einer Eingabe';
COMMENT ON COLUMN noteneingabe_schritt.eingabe_id IS 'Eingabe';
COMMENT ON COLUMN noteneingabe_schritt.note_id IS 'Note';
COMMENT ON COLUMN noteneingabe_schritt.leistung_id IS 'Leistung; leer bei einer Halbjahresnote';
COMMENT ON COLUMN noteneingabe_schritt.person_id IS 'Wessen Note';
COMMENT ON COLUMN noteneingabe_schritt.vorher IS 'Verschlüsselt, was vorher dastand; leer, wenn nichts';
COMMENT ON COLUMN noteneingabe_schritt.nachher IS 'Verschlüsselt, was danach dastand; leer, wenn nichts';

-- What marks were given by does not change under them: the scale of a profile, the steps of a key, and that a category takes marks itself.
CREATE FUNCTION noten_stehen_fest() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  in_gebrauch boolean;
BEGIN
  CASE tg_table_name
    WHEN 'notenprofil' THEN
      SELECT EXISTS (SELECT FROM leistung l JOIN notenkategorie k ON k.id = l.kategorie_id WHERE k.profil_id = new.id)
          OR EXISTS (SELECT FROM halbjahresnote h JOIN kursnoten k ON k.kurs_id = h.kurs_id WHERE k.profil_id = new.id) INTO in_gebrauch;
    WHEN 'notenkategorie' THEN
      SELECT EXISTS (SELECT FROM leistung l WHERE l.kategorie_id = new.ueber_id) INTO in_gebrauch;
    ELSE
      SELECT EXISTS (SELECT FROM leistung l WHERE l.schluessel_id = CASE WHEN tg_op = 'INSERT' THEN new.schluessel_id ELSE old.schluessel_id END)
        INTO in_gebrauch;
  END CASE;
  IF in_gebrauch THEN
    RAISE EXCEPTION USING ERRCODE = 'CM006', MESSAGE = format('%s: marks were given by it', tg_table_name);
  END IF;
  RETURN CASE WHEN tg_op = 'DELETE' THEN old ELSE new END;
END $$;
CREATE TRIGGER noten_stehen_fest BEFORE UPDATE OF skala ON notenprofil
  FOR EACH ROW WHEN (new.skala IS DISTINCT FROM old.skala) EXECUTE FUNCTION noten_stehen_fest();
CREATE TRIGGER noten_stehen_fest BEFORE INSERT OR UPDATE OF ueber_id ON notenkategorie
  FOR EACH ROW WHEN (new.ueber_id IS NOT NULL) EXECUTE FUNCTION noten_stehen_fest();
CREATE TRIGGER noten_stehen_fest BEFORE INSERT OR UPDATE OR DELETE ON notenschluesselstufe
  FOR EACH ROW EXECUTE FUNCTION noten_stehen_fest();

-- Who may what, on this day. `gilt` is since and until when what it follows from holds, so that the same definition tells why.
CREATE VIEW bezug.notenbuch (id, aktion, umfang, gilt) AS
  SELECT k.id, 'lesen', 'schule', NULL::daterange FROM kurs k
  UNION ALL
  SELECT u.kurs_id, a.aktion, 'unterrichtet', u.gueltig FROM unterrichtsauftrag u CROSS JOIN (VALUES ('lesen'), ('bearbeiten')) AS a (aktion)
   WHERE u.person_id = (SELECT ich()) AND u.gueltig @> (SELECT heute())
  UNION ALL
  SELECT e.kurs_id, 'einsehen', 'eigen', e.gueltig FROM einschreibung e WHERE e.person_id = (SELECT ich())
  UNION ALL
  SELECT e.kurs_id, 'einsehen', 'kind', e.gueltig FROM elternschaft s JOIN einschreibung e ON e.person_id = s.kind_id
   WHERE s.elternteil_id = (SELECT ich());
-- Whose marks: one's own, one's child's, those of whom one teaches in a course, everybody's.
CREATE VIEW bezug.notenperson (id, aktion, umfang, gilt) AS
  SELECT p.id, 'lesen', 'schule', NULL::daterange FROM person p
  UNION ALL
  SELECT p.id, 'lesen', 'eigen', NULL FROM person p WHERE p.id = (SELECT ich())
  UNION ALL
  SELECT s.kind_id, 'lesen', 'kind', daterange(s.seit, NULL) FROM elternschaft s WHERE s.elternteil_id = (SELECT ich())
  UNION ALL
  SELECT e.person_id, 'lesen', 'unterrichtet', u.gueltig FROM unterrichtsauftrag u JOIN einschreibung e ON e.kurs_id = u.kurs_id
   WHERE u.person_id = (SELECT ich()) AND u.gueltig @> (SELECT heute());
CREATE VIEW bezug.leistung (id, aktion, umfang, gilt) AS
  SELECT l.id, b.aktion, b.umfang, b.gilt FROM bezug.notenbuch b JOIN leistung l ON l.kurs_id = b.id WHERE b.aktion IN ('lesen', 'bearbeiten');
-- What is shown in the courses that one takes oneself, or one's child does. They are few, whatever the school has: as a list they are looked
-- up by the index, as a subquery the planner takes them for many.
CREATE FUNCTION einsehbare_kurse() RETURNS uuid[]
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  RETURN ARRAY(
    SELECT e.kurs_id FROM einschreibung e WHERE e.person_id = ich()
    UNION
    SELECT e.kurs_id FROM elternschaft s JOIN einschreibung e ON e.person_id = s.kind_id WHERE s.elternteil_id = ich());
END $$;
GRANT EXECUTE ON FUNCTION einsehbare_kurse() TO school_app;
-- What these are called, also when they are over: a mark without its course says nothing.
CREATE FUNCTION einsehbarer_unterricht(ids uuid[]) RETURNS TABLE (id uuid, name text, jahr text, von date)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY SELECT k.id, k.name::text, s.name::text, s.von FROM kurs k JOIN schuljahr s ON s.id = k.schuljahr_id
    WHERE k.id = ANY (ids) AND k.id = ANY (einsehbare_kurse());
END $$;
GRANT EXECUTE ON FUNCTION einsehbarer_unterricht(uuid[]) TO school_app;
CREATE VIEW bezug.einsehbare_leistung (id) AS
  SELECT l.id FROM leistung l WHERE l.sichtbar AND l.kurs_id = ANY ((SELECT einsehbare_kurse())::uuid[]);
CREATE VIEW bezug.freigegebenes_halbjahr (kurs_id, halbjahr) AS
  SELECT k.kurs_id, 1::smallint FROM kursnoten k WHERE k.freigegeben_1 IS NOT NULL
  UNION ALL
  SELECT k.kurs_id, 2::smallint FROM kursnoten k WHERE k.freigegeben_2 IS NOT NULL;
CREATE VIEW bezug.eigenes_kind (id) AS SELECT s.kind_id FROM elternschaft s WHERE s.elternteil_id = (SELECT ich());
CREATE VIEW bezug.notenprofil (id, aktion, umfang) AS SELECT p.id, 'bearbeiten', 'schule' FROM notenprofil p;
CREATE VIEW bezug.notenschluessel (id, aktion, umfang) AS SELECT s.id, 'bearbeiten', 'schule' FROM notenschluessel s;
-- Whether somebody takes part, or did: of one that is named, no list of all.
CREATE FUNCTION nimmt_teil(kurs uuid, person uuid) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  RETURN EXISTS (SELECT FROM einschreibung e WHERE e.kurs_id = kurs AND e.person_id = person);
END $$;
GRANT EXECUTE ON FUNCTION nimmt_teil(uuid, uuid) TO school_app;
GRANT SELECT ON bezug.notenbuch, bezug.notenperson, bezug.leistung, bezug.einsehbare_leistung, bezug.freigegebenes_halbjahr,
  bezug.eigenes_kind, bezug.notenprofil, bezug.notenschluessel TO school_app;

DO $$
DECLARE
  t text;
  spalte text;
BEGIN
  FOREACH t IN ARRAY ARRAY['notenprofil', 'notenkategorie', 'notenschluessel', 'notenschluesselstufe', 'kursnoten', 'leistung', 'note',
    'halbjahresnote', 'noteneingabe', 'noteneingabe_schritt'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
  END LOOP;
  FOR t, spalte IN SELECT * FROM (VALUES ('notenprofil', 'id'), ('notenkategorie', 'profil_id'), ('notenschluessel', 'id'),
      ('notenschluesselstufe', 'schluessel_id'), ('kursnoten', 'kurs_id'), ('leistung', 'id'), ('note', 'id'), ('halbjahresnote', 'id')) AS x LOOP
    EXECUTE format('CREATE CONSTRAINT TRIGGER protokoll AFTER INSERT OR UPDATE OR DELETE ON %I DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW EXECUTE FUNCTION journal.verlangen(%L)', t, spalte);
    EXECUTE format('CREATE TRIGGER nicht_leeren BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION journal.verlangen()', t);
  END LOOP;
END $$;

-- How is reckoned, everybody who is signed in may know; the school decides it with the right to that.
CREATE POLICY notenprofil_lesen ON notenprofil FOR SELECT TO school_app USING ((SELECT ich()) IS NOT NULL);
CREATE POLICY notenprofil_aendern ON notenprofil FOR ALL TO school_app
  USING ((SELECT 'schule' = ANY (meine_umfaenge('Notenprofil', 'bearbeiten'))));
CREATE POLICY notenkategorie_lesen ON notenkategorie FOR SELECT TO school_app USING ((SELECT ich()) IS NOT NULL);
CREATE POLICY notenkategorie_aendern ON notenkategorie FOR ALL TO school_app
  USING ((SELECT 'schule' = ANY (meine_umfaenge('Notenprofil', 'bearbeiten'))));
CREATE POLICY notenschluessel_lesen ON notenschluessel FOR SELECT TO school_app USING ((SELECT ich()) IS NOT NULL);
CREATE POLICY notenschluessel_aendern ON notenschluessel FOR ALL TO school_app
  USING ((SELECT 'schule' = ANY (meine_umfaenge('Notenprofil', 'bearbeiten'))));
CREATE POLICY stufe_lesen ON notenschluesselstufe FOR SELECT TO school_app USING ((SELECT ich()) IS NOT NULL);
CREATE POLICY stufe_aendern ON notenschluesselstufe FOR ALL TO school_app
  USING ((SELECT 'schule' = ANY (meine_umfaenge('Notenprofil', 'bearbeiten'))));

CREATE POLICY kursnoten_lesen ON kursnoten FOR SELECT TO school_app
  USING (kurs_id IN (SELECT b.id FROM bezug.notenbuch b WHERE b.aktion IN ('lesen', 'einsehen')
    AND b.umfang = ANY ((SELECT meine_umfaenge('Note', 'lesen'))::text[])));
CREATE POLICY kursnoten_anlegen ON kursnoten FOR INSERT TO school_app
  WITH CHECK (kurs_id IN (SELECT b.id FROM bezug.notenbuch b WHERE b.aktion = 'bearbeiten'
    AND b.umfang = ANY ((SELECT meine_umfaenge('Note', 'bearbeiten'))::text[])));
CREATE POLICY kursnoten_aendern ON kursnoten FOR UPDATE TO school_app
  USING (kurs_id IN (SELECT b.id FROM bezug.notenbuch b WHERE b.aktion = 'bearbeiten'
    AND b.umfang = ANY ((SELECT meine_umfaenge('Note', 'bearbeiten'))::text[])));

CREATE POLICY leistung_lesen ON leistung FOR SELECT TO school_app
  USING (kurs_id IN (SELECT b.id FROM bezug.notenbuch b WHERE b.aktion = 'lesen'
      AND b.umfang = ANY ((SELECT meine_umfaenge('Note', 'lesen'))::text[]))
    OR sichtbar AND kurs_id IN (SELECT b.id FROM bezug.notenbuch b WHERE b.aktion = 'einsehen'
      AND b.umfang = ANY ((SELECT meine_umfaenge('Note', 'lesen'))::text[])));
CREATE POLICY leistung_anlegen ON leistung FOR INSERT TO school_app
  WITH CHECK (kurs_id IN (SELECT b.id FROM bezug.notenbuch b WHERE b.aktion = 'bearbeiten'
    AND b.umfang = ANY ((SELECT meine_umfaenge('Note', 'bearbeiten'))::text[])));
CREATE POLICY leistung_aendern ON leistung FOR UPDATE TO school_app
  USING (kurs_id IN (SELECT b.id FROM bezug.notenbuch b WHERE b.aktion = 'bearbeiten'
    AND b.umfang = ANY ((SELECT meine_umfaenge('Note', 'bearbeiten'))::text[])));
CREATE POLICY leistung_loeschen ON leistung FOR DELETE TO school_app
  USING (kurs_id IN (SELECT b.id FROM bezug.notenbuch b WHERE b.aktion = 'bearbeiten'
    AND b.umfang = ANY ((SELECT meine_umfaenge('Note', 'bearbeiten'))::text[])));

-- A pupil's marks: who teaches the course, the school; the pupil and the parents once they are shown.
CREATE POLICY note_lesen ON note FOR SELECT TO school_app
  USING (kurs_id IN (SELECT b.id FROM bezug.notenbuch b WHERE b.aktion = 'lesen'
      AND b.umfang = ANY ((SELECT meine_umfaenge('Note', 'lesen'))::text[]))
    OR (person_id = (SELECT ich()) AND (SELECT 'eigen' = ANY (meine_umfaenge('Note', 'lesen')))
        OR person_id IN (SELECT k.id FROM bezug.eigenes_kind k) AND (SELECT 'kind' = ANY (meine_umfaenge('Note', 'lesen'))))
      AND leistung_id IN (SELECT s.id FROM bezug.einsehbare_leistung s));
CREATE POLICY note_anlegen ON note FOR INSERT TO school_app
  WITH CHECK (kurs_id IN (SELECT b.id FROM bezug.notenbuch b WHERE b.aktion = 'bearbeiten'
      AND b.umfang = ANY ((SELECT meine_umfaenge('Note', 'bearbeiten'))::text[]))
    AND nimmt_teil(kurs_id, person_id));
CREATE POLICY note_aendern ON note FOR UPDATE TO school_app
  USING (kurs_id IN (SELECT b.id FROM bezug.notenbuch b WHERE b.aktion = 'bearbeiten'
    AND b.umfang = ANY ((SELECT meine_umfaenge('Note', 'bearbeiten'))::text[])));
CREATE POLICY note_loeschen ON note FOR DELETE TO school_app
  USING (kurs_id IN (SELECT b.id FROM bezug.notenbuch b WHERE b.aktion = 'bearbeiten'
    AND b.umfang = ANY ((SELECT meine_umfaenge('Note', 'bearbeiten'))::text[])));

CREATE POLICY halbjahresnote_lesen ON halbjahresnote FOR SELECT TO school_app
  USING (kurs_id IN (SELECT b.id FROM bezug.notenbuch b WHERE b.aktion = 'lesen'
      AND b.umfang = ANY ((SELECT meine_umfaenge('Note', 'lesen'))::text[]))
    OR (person_id = (SELECT ich()) AND (SELECT 'eigen' = ANY (meine_umfaenge('Note', 'lesen')))
        OR person_id IN (SELECT k.id FROM bezug.eigenes_kind k) AND (SELECT 'kind' = ANY (meine_umfaenge('Note', 'lesen'))))
      AND EXISTS (SELECT FROM bezug.freigegebenes_halbjahr f WHERE f.kurs_id = halbjahresnote.kurs_id AND f.halbjahr = halbjahresnote.halbjahr));
CREATE POLICY halbjahresnote_anlegen ON halbjahresnote FOR INSERT TO school_app
  WITH CHECK (kurs_id IN (SELECT b.id FROM bezug.notenbuch b WHERE b.aktion = 'bearbeiten'
      AND b.umfang = ANY ((SELECT meine_umfaenge('Note', 'bearbeiten'))::text[]))
    AND nimmt_teil(kurs_id, person_id));
CREATE POLICY halbjahresnote_aendern ON halbjahresnote FOR UPDATE TO school_app
  USING (kurs_id IN (SELECT b.id FROM bezug.notenbuch b WHERE b.aktion = 'bearbeiten'
    AND b.umfang = ANY ((SELECT meine_umfaenge('Note', 'bearbeiten'))::text[])));
CREATE POLICY halbjahresnote_loeschen ON halbjahresnote FOR DELETE TO school_app
  USING (kurs_id IN (SELECT b.id FROM bezug.notenbuch b WHERE b.aktion = 'bearbeiten'
    AND b.umfang = ANY ((SELECT meine_umfaenge('Note', 'bearbeiten'))::text[])));

-- What one entered oneself, in courses that one still teaches.
CREATE POLICY noteneingabe_eigene ON noteneingabe FOR ALL TO school_app
  USING (konto_id = (SELECT ich()) AND kurs_id IN (SELECT b.id FROM bezug.notenbuch b WHERE b.aktion = 'bearbeiten'
    AND b.umfang = ANY ((SELECT meine_umfaenge('Note', 'bearbeiten'))::text[])));
CREATE POLICY noteneingabe_schritt_eigener ON noteneingabe_schritt FOR ALL TO school_app
  USING (eingabe_id IN (SELECT e.id FROM noteneingabe e));
-- Forgotten after 30 days, by the app's daily work, which acts for nobody.
CREATE FUNCTION noteneingaben_vergessen(vor timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  anzahl integer;
BEGIN
  DELETE FROM noteneingabe e WHERE e.zeit < least(vor, now() - interval '29 days');
  GET DIAGNOSTICS anzahl = ROW_COUNT;
  RETURN anzahl;
END $$;
GRANT EXECUTE ON FUNCTION noteneingaben_vergessen(timestamptz) TO school_app;

GRANT SELECT, INSERT, DELETE ON notenprofil, notenkategorie, notenschluessel, notenschluesselstufe, leistung, note, halbjahresnote TO school_app;
GRANT UPDATE (name, skala, tendenz, halbe, abschneiden, aktiv) ON notenprofil TO school_app;
GRANT UPDATE (ueber_id, name, gewicht, anteil, streichen, rang) ON notenkategorie TO school_app;
GRANT UPDATE (name, aktiv) ON notenschluessel TO school_app;
GRANT SELECT, INSERT, UPDATE (profil_id, freigegeben_1, freigegeben_2) ON kursnoten TO school_app;
GRANT UPDATE (name, datum, faktor, kategorie_id, sichtbar) ON leistung TO school_app;
GRANT UPDATE (verschlossen, geaendert_am) ON note, halbjahresnote TO school_app;
GRANT SELECT, INSERT, UPDATE (zurueckgenommen_am) ON noteneingabe TO school_app;
GRANT SELECT, INSERT ON noteneingabe_schritt TO school_app;

INSERT INTO recht (rolle_id, ressource, aktion, umfang)
  SELECT r.id, x.ressource, x.aktion, x.umfang FROM (VALUES
    ('schulleitung', 'Note', 'lesen', 'schule'), ('schulleitung', 'Notenprofil', 'bearbeiten', 'schule'),
    ('lehrer', 'Note', 'lesen', 'unterrichtet'), ('lehrer', 'Note', 'bearbeiten', 'unterrichtet'),
    ('schueler', 'Note', 'lesen', 'eigen'), ('eltern', 'Note', 'lesen', 'kind')
  ) AS x (rolle, ressource, aktion, umfang) JOIN rolle r ON r.id = x.rolle
ON CONFLICT DO NOTHING;

-- What schools use most, to begin with; each can be changed.
INSERT INTO notenprofil (id, name, skala, tendenz, halbe, abschneiden) VALUES
  ('00000000-0000-4000-8000-000000000001', 'Noten 1–6, schriftlich und mündlich 1 : 1', 'tendenzen', 'drittel', 'schlechter', NULL),
  ('00000000-0000-4000-8000-000000000002', 'Punkte 15–0, Klausuren und sonstige Mitarbeit 1 : 1', 'punkte', 'drittel', 'besser', NULL);
INSERT INTO notenkategorie (id, profil_id, ueber_id, name, gewicht, rang) VALUES
  ('00000000-0000-4000-8000-000000000011', '00000000-0000-4000-8000-000000000001', NULL, 'Schriftlich', 1, 1),
  ('00000000-0000-4000-8000-000000000012', '00000000-0000-4000-8000-000000000001', NULL, 'Mündlich', 1, 2),
  ('00000000-0000-4000-8000-000000000021', '00000000-0000-4000-8000-000000000002', NULL, 'Klausuren', 1, 1),
  ('00000000-0000-4000-8000-000000000022', '00000000-0000-4000-8000-000000000002', NULL, 'Sonstige Mitarbeit', 1, 2);
INSERT INTO notenschluessel (id, name, skala) VALUES
  ('00000000-0000-4000-8000-000000000031', 'Gleichmäßig, 50 % für eine 4', 'noten'),
  ('00000000-0000-4000-8000-000000000032', 'Punkte der Oberstufe', 'punkte');
INSERT INTO notenschluesselstufe (schluessel_id, note, ab_prozent) VALUES
  ('00000000-0000-4000-8000-000000000031', '1', 87.5), ('00000000-0000-4000-8000-000000000031', '2', 75),
  ('00000000-0000-4000-8000-000000000031', '3', 62.5), ('00000000-0000-4000-8000-000000000031', '4', 50),
  ('00000000-0000-4000-8000-000000000031', '5', 25), ('00000000-0000-4000-8000-000000000031', '6', 0);
INSERT INTO notenschluesselstufe (schluessel_id, note, ab_prozent)
  SELECT '00000000-0000-4000-8000-000000000032', x.note, x.ab FROM (VALUES ('15', 95), ('14', 90), ('13', 85), ('12', 80), ('11', 75),
    ('10', 70), ('9', 65), ('8', 60), ('7', 55), ('6', 50), ('5', 45), ('4', 40), ('3', 33), ('2', 27), ('1', 20), ('0', 0)) AS x (note, ab);
