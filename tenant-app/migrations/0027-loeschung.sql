-- Deletion of an account: marked, thirty days of grace, then all that is about the person goes or becomes nobody's. Who was erased stands in
-- schluessel.vernichtet, with what was to become of their contents: a school restored from an older backup gets the newest of that schema, and
-- repeats before it opens what was done since. Of that schema everything can be repeated, as ever.
ALTER TABLE schluessel.vernichtet ADD COLUMN IF NOT EXISTS inhalte text CHECK (inhalte IN ('weg', 'anonym'));
ALTER TABLE schluessel.vernichtet ADD COLUMN IF NOT EXISTS zeichen uuid NOT NULL DEFAULT gen_random_uuid();
CREATE UNIQUE INDEX IF NOT EXISTS vernichtet_zeichen ON schluessel.vernichtet (zeichen);
COMMENT ON COLUMN schluessel.vernichtet.inhalte IS 'Was aus den Inhalten der Person wurde; leer: nur ihr Schlüssel wurde vernichtet, sie selbst blieb';
COMMENT ON COLUMN schluessel.vernichtet.zeichen IS 'Zufälliges Zeichen, das im Protokoll an die Stelle der gelöschten Person tritt';
GRANT USAGE ON SCHEMA schluessel TO school_journal;
-- Of somebody who was erased as a whole, not of one whose key alone was destroyed.
CREATE OR REPLACE FUNCTION schluessel.zeichen(wer uuid) RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT v.zeichen FROM schluessel.vernichtet v WHERE v.person_id = wer AND v.inhalte IS NOT NULL
$$;
CREATE OR REPLACE FUNCTION schluessel.geloescht(kennzeichen text[]) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT EXISTS (SELECT FROM unnest(kennzeichen) AS k (id)
    JOIN schluessel.vernichtet v ON v.person_id = k.id::uuid AND v.inhalte IS NOT NULL)
$$;
REVOKE EXECUTE ON FUNCTION schluessel.zeichen(uuid), schluessel.geloescht(text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION schluessel.zeichen(uuid), schluessel.geloescht(text[]) TO school_journal;

-- Whoever is removed from the school is removed in every older backup of it too.
CREATE OR REPLACE FUNCTION schluessel_mit_person() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM schluessel.vernichten(old.id, now());
  UPDATE schluessel.vernichtet v SET inhalte = 'weg', am = now() WHERE v.person_id = old.id AND v.inhalte IS NULL;
  -- Whoever has no account is deleted by hand, and may be named all the same.
  PERFORM public.betreiberzugriffe_ohne(old.id, NULL);
  RETURN NULL;
END $$;

-- The journal. What it holds of somebody who was erased goes: who it was, about whom, the sealed values. The chain stays whole: a link covers
-- of the values their hash alone from now on, that hash is kept, and who was erased stands in the register; so of each entry that was cleaned
-- the link can be reckoned as it was. Nobody can pass a change off as that: with no erased person would it fit.
SET LOCAL ROLE school_journal;
ALTER TABLE journal.glied ADD COLUMN form smallint NOT NULL DEFAULT 1;
COMMENT ON COLUMN journal.glied.form IS 'Wie der Prüfwert gebildet ist: 1 über die Werte, 2 über deren Prüfwert';
CREATE TABLE journal.bereinigt (
  eintrag uuid NOT NULL,
  zeit timestamptz NOT NULL,
  zeichen uuid NOT NULL,
  konto boolean NOT NULL,
  person boolean NOT NULL,
  objekt boolean NOT NULL,
  siegel bytea,
  PRIMARY KEY (eintrag, zeichen)
);
CREATE INDEX bereinigt_zeit ON journal.bereinigt (zeit);
COMMENT ON TABLE journal.bereinigt IS 'Welche Einträge des Protokolls um eine gelöschte Person bereinigt sind';
COMMENT ON COLUMN journal.bereinigt.eintrag IS 'Kennzeichen des Eintrags';
COMMENT ON COLUMN journal.bereinigt.zeit IS 'Zeitpunkt des Eintrags';
COMMENT ON COLUMN journal.bereinigt.zeichen IS 'Zeichen der gelöschten Person';
COMMENT ON COLUMN journal.bereinigt.konto IS 'Ob sie zugegriffen hatte';
COMMENT ON COLUMN journal.bereinigt.person IS 'Ob der Eintrag sie betraf';
COMMENT ON COLUMN journal.bereinigt.objekt IS 'Ob ihr Kennzeichen als Objekt genannt war';
COMMENT ON COLUMN journal.bereinigt.siegel IS 'Prüfwert der verschlüsselten Werte, die entfernt sind';
CREATE TRIGGER unveraenderlich BEFORE UPDATE OR DELETE ON journal.bereinigt FOR EACH ROW EXECUTE FUNCTION journal.unveraenderlich();
CREATE TRIGGER nicht_leeren BEFORE TRUNCATE ON journal.bereinigt FOR EACH STATEMENT EXECUTE FUNCTION journal.unveraenderlich();
CREATE INDEX eintrag_konto ON journal.eintrag (konto_id, zeit) WHERE konto_id IS NOT NULL;

CREATE FUNCTION journal.pruefwert_2(davor bytea, id uuid, zeit timestamptz, konto_id uuid, person_id uuid, ressource text, aktion text,
  objekt text, werte jsonb, siegel bytea) RETURNS bytea LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
  SELECT sha256(davor || convert_to(jsonb_build_array(2, id, to_char(zeit, 'YYYY-MM-DD"T"HH24:MI:SS.US'), konto_id, person_id,
    ressource, aktion, objekt, werte, encode(siegel, 'hex'))::text, 'UTF8'))
$$;
CREATE OR REPLACE FUNCTION journal.anketten() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  davor journal.glied;
BEGIN
  -- The lock that all who are asked at commit share: whoever holds one of two would wait for the other's.
  PERFORM pg_advisory_xact_lock(7284019332);
  SELECT * INTO davor FROM journal.glied ORDER BY nummer DESC LIMIT 1;
  INSERT INTO journal.glied (nummer, zeit, eintrag, form, pruefwert)
    VALUES (coalesce(davor.nummer, 0) + 1, new.zeit, new.id, 2, journal.pruefwert_2(coalesce(davor.pruefwert, ''), new.id, new.zeit,
      new.konto_id, new.person_id, new.ressource, new.aktion, new.objekt, new.werte, sha256(new.verschlossen)));
  RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION journal.unveraenderlich() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF tg_op = 'DELETE' AND current_user = 'school_journal' AND current_setting('journal.frist', true) = 'ja'
     AND old.zeit < now() - interval '30 days' THEN
    RETURN old;
  END IF;
  IF tg_op = 'UPDATE' AND current_user = 'school_journal' AND current_setting('journal.bereinigen', true) = 'ja'
     AND tg_table_name ~ '^eintrag' THEN
    RETURN new;
  END IF;
  RAISE insufficient_privilege USING MESSAGE = 'the journal is only added to';
END $$;
-- Cleans at most so many entries of somebody who was erased; how many there were.
CREATE FUNCTION journal.bereinigen(wer uuid, hoechstens integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  sein_zeichen CONSTANT uuid := schluessel.zeichen(wer);
  anzahl integer;
BEGIN
  IF sein_zeichen IS NULL THEN
    RAISE insufficient_privilege USING MESSAGE = 'this person was not erased';
  END IF;
  PERFORM set_config('journal.bereinigen', 'ja', true);
  WITH gemeint AS (
    SELECT e.id, e.zeit, coalesce(e.konto_id = wer, false) AS konto, coalesce(e.person_id = wer, false) AS person,
           e.objekt = wer::text AS objekt, CASE WHEN e.person_id = wer THEN sha256(e.verschlossen) END AS siegel
      FROM journal.eintrag e WHERE e.konto_id = wer OR e.person_id = wer OR e.objekt = wer::text
     LIMIT hoechstens FOR UPDATE OF e
  ), vermerkt AS (
    INSERT INTO journal.bereinigt (eintrag, zeit, zeichen, konto, person, objekt, siegel)
      SELECT g.id, g.zeit, sein_zeichen, g.konto, g.person, g.objekt, g.siegel FROM gemeint g
      ON CONFLICT DO NOTHING
  )
  UPDATE journal.eintrag e
     SET konto_id = CASE WHEN g.konto THEN NULL ELSE e.konto_id END,
         person_id = CASE WHEN g.person THEN NULL ELSE e.person_id END,
         objekt = CASE WHEN g.objekt THEN '' ELSE e.objekt END,
         verschlossen = CASE WHEN g.person THEN NULL ELSE e.verschlossen END
    FROM gemeint g WHERE e.id = g.id AND e.zeit = g.zeit;
  GET DIAGNOSTICS anzahl = ROW_COUNT;
  PERFORM set_config('journal.bereinigen', '', true);
  DELETE FROM journal.geschrieben g WHERE g.objekt = wer::text AND g.transaktion <> pg_current_xact_id();
  RETURN anzahl;
END $$;
CREATE OR REPLACE FUNCTION journal.pruefen() RETURNS TABLE (nummer bigint, eintrag uuid, was text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  zeile record;
  davor bytea := NULL;
  erwartet bigint := NULL;
BEGIN
  FOR zeile IN SELECT kette.*, e.id IS NOT NULL AS da,
      CASE
        WHEN kette.form = 2 THEN journal.pruefwert_2(kette.vorher, e.id, e.zeit, coalesce(e.konto_id, b.konto), coalesce(e.person_id, b.person),
          e.ressource, e.aktion, coalesce(nullif(e.objekt, ''), b.objekt, ''), e.werte, coalesce(sha256(e.verschlossen), b.siegel))
        -- Of before, and cleaned of its values since: they cannot be reckoned with any more, for the thirty days that it is kept.
        WHEN b.siegel IS NOT NULL AND e.verschlossen IS NULL THEN kette.pruefwert
        ELSE journal.pruefwert(kette.vorher, e.id, e.zeit, coalesce(e.konto_id, b.konto), coalesce(e.person_id, b.person),
          e.ressource, e.aktion, coalesce(nullif(e.objekt, ''), b.objekt, ''), e.werte, e.verschlossen)
      END AS soll
    FROM (SELECT g.nummer, g.zeit, g.eintrag, g.pruefwert, g.form, coalesce(lag(g.pruefwert) OVER (ORDER BY g.nummer), '') AS vorher
            FROM journal.glied g) AS kette
    LEFT JOIN journal.eintrag e ON e.id = kette.eintrag AND e.zeit = kette.zeit
    LEFT JOIN LATERAL (
      SELECT max(v.person_id::text) FILTER (WHERE j.konto)::uuid AS konto, max(v.person_id::text) FILTER (WHERE j.person)::uuid AS person,
             max(v.person_id::text) FILTER (WHERE j.objekt) AS objekt, (array_agg(j.siegel) FILTER (WHERE j.siegel IS NOT NULL))[1] AS siegel
        FROM journal.bereinigt j JOIN schluessel.vernichtet v ON v.zeichen = j.zeichen AND v.inhalte IS NOT NULL
       WHERE j.eintrag = kette.eintrag) AS b ON true
    ORDER BY kette.nummer LOOP
    IF erwartet IS NOT NULL AND zeile.nummer <> erwartet THEN
      nummer := erwartet; eintrag := NULL; was := 'link missing';
      RETURN NEXT;
      davor := NULL;
    END IF;
    nummer := zeile.nummer; eintrag := zeile.eintrag;
    IF NOT zeile.da THEN
      IF zeile.zeit >= current_date - 30 THEN
        was := 'entry missing';
        RETURN NEXT;
      END IF;
    ELSIF (davor IS NOT NULL OR zeile.nummer = 1)
      AND zeile.soll IS DISTINCT FROM zeile.pruefwert THEN
      was := 'entry changed';
      RETURN NEXT;
    END IF;
    davor := zeile.pruefwert;
    erwartet := zeile.nummer + 1;
  END LOOP;
  RETURN QUERY SELECT NULL::bigint, e.id, 'entry without a link' FROM journal.eintrag e
    WHERE NOT EXISTS (SELECT FROM journal.glied g WHERE g.eintrag = e.id);
END $$;
-- As before; what is said of entries that go, goes with them.
CREATE OR REPLACE FUNCTION journal.tage_loeschen(vor date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '200ms' AS $$
DECLARE
  -- By the database's own clock: whoever sets the app's ahead forgets nothing early.
  grenze CONSTANT date := least(vor, current_date - 30);
  name text;
  anzahl integer := 0;
BEGIN
  IF NOT pg_try_advisory_xact_lock(7284019334) THEN
    RETURN 0;
  END IF;
  FOR name IN SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
      WHERE i.inhparent = 'journal.eintrag'::regclass AND c.relname ~ '^eintrag_\d{8}$'
        AND to_date(right(c.relname, 8), 'YYYYMMDD') < grenze LOOP
    EXECUTE format('DROP TABLE journal.%I', name);
    anzahl := anzahl + 1;
  END LOOP;
  PERFORM set_config('journal.frist', 'ja', true);
  DELETE FROM journal.eintrag_rest r WHERE r.zeit < grenze::timestamptz;
  DELETE FROM journal.bereinigt b WHERE b.zeit < grenze::timestamptz;
  -- Links go from the beginning on: who committed a little later than somebody of the next day would leave a gap.
  DELETE FROM journal.glied g WHERE g.nummer < coalesce(
    (SELECT min(k.nummer) FROM journal.glied k WHERE k.zeit >= grenze::timestamptz), (SELECT max(k.nummer) FROM journal.glied k));
  PERFORM set_config('journal.frist', '', true);
  RETURN anzahl;
EXCEPTION WHEN lock_not_available THEN
  -- A running dump holds it off: tomorrow, then.
  RETURN 0;
END $$;
-- As before; what goes with somebody who was erased is counted and has no entry of its own, which would name it.
CREATE OR REPLACE FUNCTION journal.verlangen() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  zeile jsonb;
  objekte text[];
BEGIN
  IF session_user <> 'school_app' AND current_setting('classmind.umbau', true) = 'ja' THEN
    RETURN NULL;
  END IF;
  IF tg_op = 'TRUNCATE' THEN
    RAISE EXCEPTION USING ERRCODE = 'CM004', MESSAGE = format('%s is not emptied without entries in the journal', tg_table_name);
  END IF;
  zeile := to_jsonb(CASE WHEN tg_op = 'DELETE' THEN old ELSE new END);
  SELECT array_agg(zeile ->> spalte) INTO objekte FROM unnest(tg_argv) AS spalte;
  IF EXISTS (SELECT FROM journal.geschrieben g WHERE g.transaktion = pg_current_xact_id() AND g.objekt = ANY (objekte)) THEN
    RETURN NULL;
  END IF;
  IF tg_op <> 'INSERT' THEN
    zeile := to_jsonb(old);
    IF schluessel.geloescht(ARRAY(SELECT zeile ->> spalte FROM unnest(ARRAY['person_id', 'konto_id', 'besitzer_id', 'absender_id',
        'elternteil_id', 'kind_id'] || CASE WHEN tg_table_name IN ('person', 'konto') THEN ARRAY['id'] ELSE '{}' END) AS spalte
        WHERE zeile ->> spalte IS NOT NULL)) THEN
      RETURN NULL;
    END IF;
  END IF;
  RAISE EXCEPTION USING ERRCODE = 'CM004',
    MESSAGE = format('%s of %s without an entry in the journal', lower(tg_op), tg_table_name);
END $$;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA journal FROM PUBLIC;
GRANT EXECUTE ON FUNCTION journal.bereinigen(uuid, integer) TO school_app, school_owner;
GRANT EXECUTE ON FUNCTION journal.pruefen() TO school_owner;
RESET ROLE;

-- What is to be erased, and when.
CREATE TABLE loeschung (
  person_id uuid PRIMARY KEY REFERENCES person ON DELETE CASCADE,
  inhalte text NOT NULL CHECK (inhalte IN ('weg', 'anonym')),
  vorgemerkt_am timestamptz NOT NULL,
  vorgemerkt_von uuid REFERENCES person ON DELETE SET NULL,
  faellig_am date NOT NULL
);
CREATE INDEX loeschung_faellig ON loeschung (faellig_am, person_id);
CREATE INDEX loeschung_von ON loeschung (vorgemerkt_von);
COMMENT ON TABLE loeschung IS 'Konten, die zur Löschung vorgemerkt sind';
COMMENT ON COLUMN loeschung.person_id IS 'Wessen Konto';
COMMENT ON COLUMN loeschung.inhalte IS 'Ob Inhalte mit dem Konto gehen oder anonym bleiben';
COMMENT ON COLUMN loeschung.vorgemerkt_am IS 'Zeitpunkt, seit dem der Zugang beendet ist; dabei wurde das Archiv angeboten';
COMMENT ON COLUMN loeschung.vorgemerkt_von IS 'Wer die Löschung vorgemerkt hat';
COMMENT ON COLUMN loeschung.faellig_am IS 'Tag, an dem endgültig gelöscht wird';
CREATE CONSTRAINT TRIGGER protokoll AFTER INSERT OR UPDATE OF inhalte, faellig_am OR DELETE ON loeschung DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION journal.verlangen('person_id');
CREATE TRIGGER nicht_leeren BEFORE TRUNCATE ON loeschung FOR EACH STATEMENT EXECUTE FUNCTION journal.verlangen();

-- An account that is marked is no account any more, but for those who may take that back.
CREATE VIEW bezug.loeschung (id, aktion, umfang) AS
  SELECT k.id, 'loeschen', 'schule' FROM konto k WHERE k.id <> (SELECT ich()) AND steht_nicht_ueber_mir(k.id);
GRANT SELECT ON bezug.loeschung TO school_app;
ALTER TABLE loeschung ENABLE ROW LEVEL SECURITY;
-- Whoever reads lists knows of it as well: what a list brings is not to go with somebody who is leaving.
CREATE POLICY loeschung_lesen ON loeschung FOR SELECT TO school_app
  USING ((SELECT 'schule' = ANY (meine_umfaenge('Konto', 'lesen') || meine_umfaenge('Konto', 'loeschen')
    || meine_umfaenge('Einlesung', 'einlesen'))));
GRANT SELECT ON loeschung TO school_app;

CREATE FUNCTION konto_loeschen_erlaubt(ziel uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT 'schule' = ANY (meine_umfaenge('Konto', 'loeschen'))
    AND EXISTS (SELECT FROM bezug.loeschung b WHERE b.id = ziel AND b.aktion = 'loeschen' AND b.umfang = 'schule')
$$;
-- Marks an account and ends its access; false if it is marked already, or another than the form showed.
CREATE FUNCTION loeschung_vormerken(ziel uuid, wahl text, gesehen integer, jetzt timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF NOT konto_loeschen_erlaubt(ziel) THEN
    RAISE insufficient_privilege USING MESSAGE = 'deletion of another account';
  END IF;
  UPDATE konto k SET geloescht_am = jetzt WHERE k.id = ziel AND k.geloescht_am IS NULL AND k.version = gesehen;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  INSERT INTO loeschung (person_id, inhalte, vorgemerkt_am, vorgemerkt_von, faellig_am)
    VALUES (ziel, wahl, jetzt, ich(), (greatest(jetzt, now()) AT TIME ZONE 'Europe/Berlin')::date + 30);
  DELETE FROM sitzung s WHERE s.konto_id = ziel;
  RETURN true;
END $$;
-- Takes it back; false if it is not marked, or was begun.
CREATE FUNCTION loeschung_zuruecknehmen(ziel uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF NOT konto_loeschen_erlaubt(ziel) THEN
    RAISE insufficient_privilege USING MESSAGE = 'deletion of another account';
  END IF;
  PERFORM FROM loeschung l WHERE l.person_id = ziel FOR UPDATE;
  IF NOT FOUND OR EXISTS (SELECT FROM schluessel.vernichtet v WHERE v.person_id = ziel AND v.inhalte IS NOT NULL) THEN
    RETURN false;
  END IF;
  DELETE FROM loeschung l WHERE l.person_id = ziel;
  UPDATE konto k SET geloescht_am = NULL WHERE k.id = ziel;
  RETURN true;
END $$;

-- The day up to which one is due: that of the app, and never one that the database's own clock has not reached. Whoever sets the app's ahead,
-- or asks in its name, ends nobody's grace.
CREATE FUNCTION faellig_bis(tag date) RETURNS date LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT CASE WHEN tag IS NOT NULL THEN least(tag, (now() AT TIME ZONE 'Europe/Berlin')::date) END
$$;
-- Who is due, or was begun with; without a day those who stand in the register alone: before a school opens.
CREATE FUNCTION offene_loeschungen(tag date) RETURNS TABLE (person_id uuid)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
BEGIN
  IF ich() IS NOT NULL THEN
    RAISE insufficient_privilege USING MESSAGE = 'nobody asks for this';
  END IF;
  RETURN QUERY SELECT v.person_id FROM schluessel.vernichtet v JOIN person p ON p.id = v.person_id WHERE v.inhalte IS NOT NULL
    UNION SELECT l.person_id FROM loeschung l WHERE l.faellig_am <= faellig_bis(tag);
END $$;
-- The first step, from which there is no way back: the key is destroyed, and the register says when, by the database's clock, and what is to
-- become of the rest. Null for somebody who is not due.
CREATE FUNCTION loeschung_beginnen(wer uuid, tag date) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  wahl text;
BEGIN
  IF ich() IS NOT NULL THEN
    RAISE insufficient_privilege USING MESSAGE = 'nobody asks for this';
  END IF;
  SELECT l.inhalte INTO wahl FROM loeschung l WHERE l.person_id = wer AND l.faellig_am <= faellig_bis(tag) FOR UPDATE;
  IF FOUND THEN
    PERFORM schluessel.vernichten(wer, now());
    -- The key alone may have been destroyed long before: the register counts from the erasure.
    UPDATE schluessel.vernichtet v SET inhalte = wahl, am = now() WHERE v.person_id = wer AND v.inhalte IS NULL;
  END IF;
  RETURN schluessel.zeichen(wer);
END $$;
-- What was chosen; of nobody else is anything erased.
CREATE FUNCTION loeschwahl(wer uuid) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  wahl text;
BEGIN
  SELECT v.inhalte INTO wahl FROM schluessel.vernichtet v WHERE v.person_id = wer;
  IF wahl IS NULL THEN
    RAISE insufficient_privilege USING MESSAGE = 'this person is not to be erased';
  END IF;
  RETURN wahl;
END $$;
-- Of whom something may have been written while they were erased; of the last days, also for an app whose clock is ahead.
CREATE FUNCTION kuerzlich_geloeschte(seit timestamptz) RETURNS TABLE (person_id uuid)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
BEGIN
  IF ich() IS NOT NULL THEN
    RAISE insufficient_privilege USING MESSAGE = 'nobody asks for this';
  END IF;
  RETURN QUERY SELECT v.person_id FROM schluessel.vernichtet v WHERE v.inhalte IS NOT NULL AND v.am >= least(seit, now() - interval '3 days');
END $$;
-- The register is needed as long as there are backups that hold somebody; a little longer, by the slower of two clocks.
CREATE FUNCTION loeschregister_aufraeumen(jetzt timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  anzahl integer;
BEGIN
  DELETE FROM schluessel.vernichtet v WHERE v.inhalte IS NOT NULL AND v.am < least(jetzt, now()) - interval '400 days'
    AND NOT EXISTS (SELECT FROM person p WHERE p.id = v.person_id);
  GET DIAGNOSTICS anzahl = ROW_COUNT;
  RETURN anzahl;
END $$;

-- What becomes of the rows of each feature, at most so many at once; what was done, in numbers. Nothing any more: an empty object.
CREATE FUNCTION zaehlung(VARIADIC paare text[]) RETURNS jsonb LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce(jsonb_object_agg(x.was, x.anzahl) FILTER (WHERE x.anzahl > 0), '{}')
    FROM (SELECT paare[i] AS was, paare[i + 1]::integer AS anzahl FROM generate_series(1, array_length(paare, 1), 2) AS i) AS x
$$;
CREATE FUNCTION arbeiten_der_person_loeschen(wer uuid, hoechstens integer) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  a integer;
BEGIN
  PERFORM loeschwahl(wer);
  DELETE FROM hintergrundarbeit h WHERE h.id IN (SELECT x.id FROM hintergrundarbeit x WHERE x.person_id = wer LIMIT hoechstens);
  GET DIAGNOSTICS a = ROW_COUNT;
  RETURN zaehlung('arbeiten', a::text);
END $$;

CREATE FUNCTION nachrichten_der_person_loeschen(wer uuid, hoechstens integer) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  wahl CONSTANT text := loeschwahl(wer);
  geschrieben integer := 0;
  anonym integer := 0;
  empfangen integer;
  entwuerfe integer;
  posteingang uuid[];
  verwaist uuid[];
BEGIN
  -- What nobody received, or nobody has any more, would be nobody's.
  DELETE FROM nachricht n WHERE n.id IN (SELECT x.id FROM nachricht x WHERE x.absender_id = wer
    AND (wahl = 'weg' OR NOT EXISTS (SELECT FROM nachricht_empfaenger e WHERE e.nachricht_id = x.id AND e.konto_id <> wer)) LIMIT hoechstens);
  GET DIAGNOSTICS geschrieben = ROW_COUNT;
  IF wahl = 'anonym' THEN
    UPDATE nachricht n SET absender_id = NULL WHERE n.id IN (SELECT x.id FROM nachricht x WHERE x.absender_id = wer LIMIT hoechstens);
    GET DIAGNOSTICS anonym = ROW_COUNT;
  END IF;
  -- Of an earlier anonymous sender, and this was the last to have it: an entry says that it went.
  -- What goes of the inbox is chosen once: nothing goes that was not looked at.
  SELECT array_agg(x.nachricht_id) INTO posteingang
    FROM (SELECT e.nachricht_id FROM nachricht_empfaenger e WHERE e.konto_id = wer LIMIT hoechstens) AS x;
  SELECT array_agg(n.id) INTO verwaist FROM nachricht n WHERE n.id = ANY (posteingang) AND n.absender_id IS NULL
     AND NOT EXISTS (SELECT FROM nachricht_empfaenger e WHERE e.nachricht_id = n.id AND e.konto_id <> wer);
  INSERT INTO journal.eintrag (id, zeit, ressource, aktion, objekt)
    SELECT gen_random_uuid(), clock_timestamp(), 'Nachricht', 'loeschen', x.id::text FROM unnest(verwaist) AS x (id);
  DELETE FROM nachricht n WHERE n.id = ANY (verwaist);
  DELETE FROM nachricht_empfaenger e WHERE e.konto_id = wer AND e.nachricht_id = ANY (posteingang);
  GET DIAGNOSTICS empfangen = ROW_COUNT;
  DELETE FROM nachricht_entwurf d WHERE d.id IN (SELECT x.id FROM nachricht_entwurf x WHERE x.person_id = wer LIMIT hoechstens);
  GET DIAGNOSTICS entwuerfe = ROW_COUNT;
  RETURN zaehlung('nachrichten_geloescht', geschrieben::text, 'nachrichten_anonym', anonym::text,
    'posteingang', (empfangen + coalesce(array_length(verwaist, 1), 0))::text, 'entwuerfe', entwuerfe::text);
END $$;

-- A file that stays without its owner: nobody owns it, and those to whom it was shown still read it.
ALTER TABLE datei ALTER COLUMN besitzer_id DROP NOT NULL;
COMMENT ON COLUMN datei.besitzer_id IS 'Wer die Datei eingestellt hat; unveränderlich; leer, wenn das Konto gelöscht ist und Inhalte anonym bleiben';
DROP TRIGGER datei_besitzer_fest ON datei;
CREATE TRIGGER datei_besitzer_fest BEFORE UPDATE OF id, besitzer_id ON datei FOR EACH ROW
  WHEN (old.id IS DISTINCT FROM new.id OR old.besitzer_id IS DISTINCT FROM new.besitzer_id AND new.besitzer_id IS NOT NULL)
  EXECUTE FUNCTION datei_unveraenderlich();
CREATE FUNCTION dateien_der_person_loeschen(wer uuid, hoechstens integer) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  wahl CONSTANT text := loeschwahl(wer);
  weg integer;
  anonym integer := 0;
  freigaben integer;
BEGIN
  DELETE FROM datei d WHERE d.id IN (SELECT x.id FROM datei x WHERE x.besitzer_id = wer
    AND (wahl = 'weg' OR NOT EXISTS (SELECT FROM datei_freigabe f WHERE f.datei_id = x.id AND f.konto_id <> wer)
      AND NOT EXISTS (SELECT FROM nachricht_datei nd WHERE nd.datei_id = x.id)) LIMIT hoechstens);
  GET DIAGNOSTICS weg = ROW_COUNT;
  IF wahl = 'anonym' THEN
    UPDATE datei d SET besitzer_id = NULL WHERE d.id IN (SELECT x.id FROM datei x WHERE x.besitzer_id = wer LIMIT hoechstens);
    GET DIAGNOSTICS anonym = ROW_COUNT;
  END IF;
  DELETE FROM datei_freigabe f WHERE f.konto_id = wer
    AND f.datei_id IN (SELECT x.datei_id FROM datei_freigabe x WHERE x.konto_id = wer LIMIT hoechstens);
  GET DIAGNOSTICS freigaben = ROW_COUNT;
  RETURN zaehlung('dateien_geloescht', weg::text, 'dateien_anonym', anonym::text, 'freigaben', freigaben::text);
END $$;
-- What nobody owns and nobody reads any more; by the daily work.
CREATE FUNCTION herrenlose_dateien_loeschen(hoechstens integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  ids uuid[];
BEGIN
  SELECT array_agg(x.id) INTO ids FROM (SELECT d.id FROM datei d WHERE d.besitzer_id IS NULL
    AND NOT EXISTS (SELECT FROM datei_freigabe f WHERE f.datei_id = d.id)
    AND NOT EXISTS (SELECT FROM nachricht_datei nd WHERE nd.datei_id = d.id) LIMIT hoechstens FOR UPDATE) AS x;
  INSERT INTO journal.eintrag (id, zeit, ressource, aktion, objekt)
    SELECT gen_random_uuid(), clock_timestamp(), 'Datei', 'loeschen', x.id::text FROM unnest(ids) AS x (id);
  DELETE FROM datei d WHERE d.id = ANY (ids);
  RETURN coalesce(array_length(ids, 1), 0);
END $$;

-- Marks go both ways: what somebody got is theirs alone. What they gave is the pupils', and names nobody who gave it.
CREATE FUNCTION noten_der_person_loeschen(wer uuid, hoechstens integer) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  noten integer;
  halbjahr integer;
  schritte integer;
  eingaben integer;
BEGIN
  PERFORM loeschwahl(wer);
  DELETE FROM noteneingabe_schritt s WHERE s.person_id = wer
    AND (s.eingabe_id, s.note_id) IN (SELECT x.eingabe_id, x.note_id FROM noteneingabe_schritt x WHERE x.person_id = wer LIMIT hoechstens);
  GET DIAGNOSTICS schritte = ROW_COUNT;
  DELETE FROM note n WHERE n.id IN (SELECT x.id FROM note x WHERE x.person_id = wer LIMIT hoechstens);
  GET DIAGNOSTICS noten = ROW_COUNT;
  DELETE FROM halbjahresnote h WHERE h.id IN (SELECT x.id FROM halbjahresnote x WHERE x.person_id = wer LIMIT hoechstens);
  GET DIAGNOSTICS halbjahr = ROW_COUNT;
  DELETE FROM noteneingabe e WHERE e.id IN (SELECT x.id FROM noteneingabe x WHERE x.konto_id = wer LIMIT hoechstens);
  GET DIAGNOSTICS eingaben = ROW_COUNT;
  RETURN zaehlung('noten', noten::text, 'halbjahresnoten', halbjahr::text, 'zuruecknehmbar', (schritte + eingaben)::text);
END $$;

CREATE INDEX auftragsaenderung_person ON auftragsaenderung (person_id);
CREATE INDEX auftragsaenderung_konto ON auftragsaenderung (konto_id);
CREATE FUNCTION struktur_der_person_loeschen(wer uuid, hoechstens integer) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  klassen integer;
  leitungen integer;
  auftraege integer;
  kurse integer;
  aenderungen integer;
  genannt integer;
BEGIN
  PERFORM loeschwahl(wer);
  DELETE FROM klassenmitglied m WHERE m.id IN (SELECT x.id FROM klassenmitglied x WHERE x.person_id = wer LIMIT hoechstens);
  GET DIAGNOSTICS klassen = ROW_COUNT;
  DELETE FROM klassenleitung l WHERE l.id IN (SELECT x.id FROM klassenleitung x WHERE x.person_id = wer LIMIT hoechstens);
  GET DIAGNOSTICS leitungen = ROW_COUNT;
  DELETE FROM unterrichtsauftrag u WHERE u.id IN (SELECT x.id FROM unterrichtsauftrag x WHERE x.person_id = wer LIMIT hoechstens);
  GET DIAGNOSTICS auftraege = ROW_COUNT;
  DELETE FROM einschreibung e WHERE e.id IN (SELECT x.id FROM einschreibung x WHERE x.person_id = wer LIMIT hoechstens);
  GET DIAGNOSTICS kurse = ROW_COUNT;
  -- Last: to end an assignment makes another of these.
  DELETE FROM auftragsaenderung a WHERE a.id IN (SELECT x.id FROM auftragsaenderung x WHERE x.person_id = wer LIMIT hoechstens);
  GET DIAGNOSTICS aenderungen = ROW_COUNT;
  UPDATE auftragsaenderung a SET konto_id = NULL WHERE a.id IN (SELECT x.id FROM auftragsaenderung x WHERE x.konto_id = wer LIMIT hoechstens);
  GET DIAGNOSTICS genannt = ROW_COUNT;
  RETURN zaehlung('klassen', klassen::text, 'klassenleitungen', leitungen::text, 'unterrichtsauftraege', auftraege::text,
    'kurse', kurse::text, 'auftragsaenderungen', (aenderungen + genannt)::text);
END $$;

CREATE FUNCTION zustimmungen_der_person_loeschen(wer uuid) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  a integer;
BEGIN
  PERFORM loeschwahl(wer);
  DELETE FROM zustimmung z WHERE z.person_id = wer;
  GET DIAGNOSTICS a = ROW_COUNT;
  RETURN zaehlung('zustimmungen', a::text);
END $$;
CREATE FUNCTION zweitfaktor_der_person_loeschen(wer uuid) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  a integer;
BEGIN
  PERFORM loeschwahl(wer);
  DELETE FROM zweitfaktor z WHERE z.konto_id = wer;
  GET DIAGNOSTICS a = ROW_COUNT;
  RETURN zaehlung('zweitfaktor', a::text);
END $$;
-- What the operator did names somebody by user name or id, in words of the program; the reason beside it is the operator's own.
CREATE FUNCTION betreiberzugriffe_ohne(wer uuid, name text) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  -- As the disclosure looks for it: no other user name may go on where this one ends.
  muster CONSTANT text := '(^|[^a-z0-9.-])' || replace(name, '.', '\.') || '(?=$|[^a-z0-9.-]|\.$|\.[^a-z0-9])';
  a integer;
BEGIN
  UPDATE betreiberzugriff b SET was = replace(replace(
      CASE WHEN muster IS NULL THEN b.was ELSE regexp_replace(b.was, muster, '\1einem gelöschten Konto', 'g') END,
      'die Person ' || wer, 'eine gelöschte Person'), wer::text, 'einer gelöschten Person')
    WHERE b.was ~ muster OR position(wer::text IN b.was) > 0;
  GET DIAGNOSTICS a = ROW_COUNT;
  RETURN a;
END $$;
CREATE FUNCTION betreiberzugriffe_der_person_loeschen(wer uuid) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  PERFORM loeschwahl(wer);
  RETURN zaehlung('betreiberzugriffe', betreiberzugriffe_ohne(wer, (SELECT k.benutzername FROM konto k WHERE k.id = wer))::text);
END $$;
CREATE FUNCTION rollen_der_person_loeschen(wer uuid) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  a integer;
BEGIN
  PERFORM loeschwahl(wer);
  DELETE FROM konto_rolle kr WHERE kr.konto_id = wer;
  GET DIAGNOSTICS a = ROW_COUNT;
  RETURN zaehlung('rollen', a::text);
END $$;
CREATE FUNCTION zugang_der_person_loeschen(wer uuid) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  sitzungen integer;
  formulare integer;
  passwort integer;
BEGIN
  PERFORM loeschwahl(wer);
  DELETE FROM sitzung s WHERE s.konto_id = wer;
  GET DIAGNOSTICS sitzungen = ROW_COUNT;
  DELETE FROM einmalpasswort_formular f WHERE f.konto_id = wer;
  GET DIAGNOSTICS formulare = ROW_COUNT;
  DELETE FROM zugang z WHERE z.konto_id = wer;
  GET DIAGNOSTICS passwort = ROW_COUNT;
  RETURN zaehlung('sitzungen', sitzungen::text, 'einmalpasswoerter', formulare::text, 'passwoerter', passwort::text);
END $$;
CREATE FUNCTION konto_der_person_loeschen(wer uuid) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  kontakt integer;
  konten integer;
BEGIN
  PERFORM loeschwahl(wer);
  DELETE FROM kontaktdaten k WHERE k.konto_id = wer;
  GET DIAGNOSTICS kontakt = ROW_COUNT;
  DELETE FROM konto k WHERE k.id = wer;
  GET DIAGNOSTICS konten = ROW_COUNT;
  RETURN zaehlung('kontaktdaten', kontakt::text, 'konten', konten::text);
END $$;
CREATE FUNCTION familie_der_person_loeschen(wer uuid) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  a integer;
BEGIN
  PERFORM loeschwahl(wer);
  DELETE FROM elternschaft e WHERE e.elternteil_id = wer OR e.kind_id = wer;
  GET DIAGNOSTICS a = ROW_COUNT;
  RETURN zaehlung('familie', a::text);
END $$;
-- Who marked others for deletion is forgotten with them; what is marked of themselves goes with the person.
CREATE FUNCTION vorgemerkt_von_loeschen(wer uuid) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  a integer;
BEGIN
  PERFORM loeschwahl(wer);
  UPDATE loeschung l SET vorgemerkt_von = NULL WHERE l.vorgemerkt_von = wer;
  GET DIAGNOSTICS a = ROW_COUNT;
  RETURN zaehlung('vormerkungen', a::text);
END $$;
-- The last step: the person, and what was written about them meanwhile. Refused (23503) as long as anything hangs on them.
CREATE FUNCTION person_endgueltig_loeschen(wer uuid) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  a integer;
BEGIN
  PERFORM loeschwahl(wer);
  DELETE FROM person p WHERE p.id = wer;
  GET DIAGNOSTICS a = ROW_COUNT;
  RETURN zaehlung('personen', a::text);
END $$;

-- As before; who was erased is no administrator that the school could keep: also where an older backup knows nobody else.
CREATE OR REPLACE FUNCTION administrator_bleibt() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  betroffen boolean;
BEGIN
  -- First of all: what is judged below must not change until this transaction has ended.
  PERFORM pg_advisory_xact_lock(7284019332);
  CASE tg_table_name
    WHEN 'konto' THEN betroffen := verwaltet(old.id);
    WHEN 'konto_rolle' THEN betroffen := gibt_verwaltung(old.rolle_id) AND NOT schluessel.geloescht(ARRAY[old.konto_id::text]);
    WHEN 'rolle' THEN betroffen := gibt_verwaltung(old.id);
    ELSE betroffen := old.umfang = 'schule'
      AND (old.ressource, old.aktion) IN (('Konto', 'bearbeiten'), ('Konto', 'sperren'), ('Rolle', 'bearbeiten'));
  END CASE;
  IF betroffen AND NOT EXISTS (
    SELECT FROM konto k JOIN zugang z ON z.konto_id = k.id
     WHERE k.gesperrt_am IS NULL AND k.geloescht_am IS NULL AND verwaltet(k.id)
       AND (z.einmalig_bis IS NULL
         OR z.einmalig_bis > coalesce(nullif(current_setting('classmind.jetzt', true), '')::timestamptz, now()))) THEN
    RAISE EXCEPTION USING ERRCODE = 'CM001', MESSAGE = 'nobody would be left to manage accounts and roles';
  END IF;
  RETURN NULL;
END $$;

GRANT EXECUTE ON FUNCTION konto_loeschen_erlaubt(uuid), loeschung_vormerken(uuid, text, integer, timestamptz), loeschung_zuruecknehmen(uuid),
  offene_loeschungen(date), loeschung_beginnen(uuid, date), kuerzlich_geloeschte(timestamptz), loeschregister_aufraeumen(timestamptz),
  arbeiten_der_person_loeschen(uuid, integer), nachrichten_der_person_loeschen(uuid, integer), dateien_der_person_loeschen(uuid, integer),
  herrenlose_dateien_loeschen(integer), noten_der_person_loeschen(uuid, integer), struktur_der_person_loeschen(uuid, integer),
  zustimmungen_der_person_loeschen(uuid), zweitfaktor_der_person_loeschen(uuid), betreiberzugriffe_der_person_loeschen(uuid),
  rollen_der_person_loeschen(uuid), zugang_der_person_loeschen(uuid), konto_der_person_loeschen(uuid), familie_der_person_loeschen(uuid),
  vorgemerkt_von_loeschen(uuid), person_endgueltig_loeschen(uuid) TO school_app;
