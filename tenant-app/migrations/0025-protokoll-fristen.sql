-- The journal is kept for 30 days (R32): a day goes as a whole, with its links of the chain. Younger entries cannot go, whoever asks.
SET LOCAL ROLE school_journal;
CREATE OR REPLACE FUNCTION journal.unveraenderlich() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF tg_op = 'DELETE' AND current_user = 'school_journal' AND current_setting('journal.frist', true) = 'ja'
     AND old.zeit < now() - interval '30 days' THEN
    RETURN old;
  END IF;
  RAISE insufficient_privilege USING MESSAGE = 'the journal is only added to';
END $$;
CREATE FUNCTION journal.tage_loeschen(vor date) RETURNS integer
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
  -- Links go from the beginning on: who committed a little later than somebody of the next day would leave a gap.
  DELETE FROM journal.glied g WHERE g.nummer < coalesce(
    (SELECT min(k.nummer) FROM journal.glied k WHERE k.zeit >= grenze::timestamptz), (SELECT max(k.nummer) FROM journal.glied k));
  PERFORM set_config('journal.frist', '', true);
  RETURN anzahl;
EXCEPTION WHEN lock_not_available THEN
  -- A running dump holds it off: tomorrow, then.
  RETURN 0;
END $$;
REVOKE EXECUTE ON FUNCTION journal.tage_loeschen(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION journal.tage_loeschen(date) TO school_app, school_owner;
-- The app cannot write what is forgotten at once: an entry is of the day on which it is made.
CREATE OR REPLACE FUNCTION journal.vor_eintrag() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  new.werte := journal.ohne_werte(new.werte);
  new.transaktion := pg_current_xact_id();
  -- The app writes for whoever acts, and for nobody else.
  IF session_user = 'school_app' THEN
    new.konto_id := nullif(current_setting('classmind.konto', true), '')::uuid;
    IF new.zeit < now() - interval '1 day' THEN
      RAISE insufficient_privilege USING MESSAGE = 'an entry of the past', HINT = 'Is the clock of the app right?';
    END IF;
  END IF;
  INSERT INTO journal.geschrieben (transaktion, objekt, ressource) VALUES (new.transaktion, new.objekt, new.ressource)
    ON CONFLICT DO NOTHING;
  RETURN new;
END $$;
-- As before; of an entry that has gone by its age the link may be left, until those before it go.
CREATE OR REPLACE FUNCTION journal.pruefen() RETURNS TABLE (nummer bigint, eintrag uuid, was text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
  zeile record;
  davor bytea := NULL;
  erwartet bigint := NULL;
BEGIN
  FOR zeile IN SELECT g.nummer, g.zeit, g.eintrag, g.pruefwert, e.id IS NOT NULL AS da,
      journal.pruefwert(coalesce(lag(g.pruefwert) OVER (ORDER BY g.nummer), ''), e.id, e.zeit, e.konto_id, e.person_id, e.ressource, e.aktion,
        e.objekt, e.werte, e.verschlossen) AS soll
    FROM journal.glied g LEFT JOIN journal.eintrag e ON e.id = g.eintrag AND e.zeit = g.zeit ORDER BY g.nummer LOOP
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
RESET ROLE;

-- What those who run the instance did by hand in the school, for the school to see (R48).
CREATE TABLE betreiberzugriff (
  id uuid PRIMARY KEY,
  zeit timestamptz NOT NULL,
  was text NOT NULL,
  grund text NOT NULL CHECK (grund <> '' AND length(grund) <= 500),
  von text NOT NULL
);
CREATE INDEX betreiberzugriff_zeit ON betreiberzugriff (zeit, id);
COMMENT ON TABLE betreiberzugriff IS 'Zugriffe des Betreibers von Hand, für die Schule sichtbar';
COMMENT ON COLUMN betreiberzugriff.id IS 'Kennzeichen des Zugriffs';
COMMENT ON COLUMN betreiberzugriff.zeit IS 'Zeitpunkt des Zugriffs';
COMMENT ON COLUMN betreiberzugriff.was IS 'Was getan wurde';
COMMENT ON COLUMN betreiberzugriff.grund IS 'Warum es getan wurde';
COMMENT ON COLUMN betreiberzugriff.von IS 'Wer es beim Betreiber getan hat';
ALTER TABLE betreiberzugriff ENABLE ROW LEVEL SECURITY;
CREATE POLICY betreiberzugriff_lesen ON betreiberzugriff FOR SELECT TO school_app
  USING ((SELECT 'schule' = ANY (meine_umfaenge('Konto', 'lesen'))));
GRANT SELECT ON betreiberzugriff TO school_app;
