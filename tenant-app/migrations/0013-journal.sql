-- The journal: a partition for each day, the person concerned, values sealed with that person's key, each entry chained to the one before,
-- nothing ever changed. And no change of what is journaled without its entry: asked at commit, of whoever makes it.
SET LOCAL ROLE school_journal;
ALTER TABLE journal.eintrag
  ADD COLUMN person_id uuid,
  ADD COLUMN verschlossen bytea,
  ADD COLUMN transaktion xid8 DEFAULT pg_current_xact_id();
COMMENT ON COLUMN journal.eintrag.person_id IS 'Wen die Änderung betrifft';
COMMENT ON COLUMN journal.eintrag.verschlossen IS 'Alte und neue Werte, verschlüsselt mit dem Schlüssel der Person, die sie betreffen';
COMMENT ON COLUMN journal.eintrag.transaktion IS 'Nachweis, dass Eintrag und Änderung zusammengehören';
COMMENT ON COLUMN journal.eintrag.werte IS 'Welche Angaben geändert wurden, ohne ihre Werte';
CREATE INDEX eintrag_objekt ON journal.eintrag (objekt, zeit);
CREATE INDEX eintrag_person ON journal.eintrag (person_id, zeit) WHERE person_id IS NOT NULL;

-- In clear stands which values changed, never what they are: names and mail addresses of earlier versions go.
CREATE FUNCTION journal.ohne_werte(werte jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT CASE jsonb_typeof(werte)
    WHEN 'object' THEN coalesce((SELECT jsonb_object_agg(feld.key, CASE jsonb_typeof(feld.value)
        WHEN 'object' THEN (SELECT coalesce(jsonb_agg(name ORDER BY name), '[]') FROM jsonb_object_keys(feld.value) AS name)
        ELSE to_jsonb(jsonb_typeof(feld.value)) END) FROM jsonb_each(werte) AS feld), '{}')
    ELSE '{}' END
$$;
UPDATE journal.eintrag SET werte = journal.ohne_werte(werte) WHERE werte <> '{}';
-- Which entries a transaction has written, for whoever asks at commit: in a table of its own, for the entries lie in many.
CREATE TABLE journal.geschrieben (
  transaktion xid8 NOT NULL,
  objekt text NOT NULL,
  ressource text NOT NULL,
  PRIMARY KEY (transaktion, objekt, ressource)
);
COMMENT ON TABLE journal.geschrieben IS 'Was eine laufende Transaktion protokolliert hat; wird täglich geleert';
COMMENT ON COLUMN journal.geschrieben.transaktion IS 'Transaktion';
COMMENT ON COLUMN journal.geschrieben.objekt IS 'Kennzeichen des Objekts';
COMMENT ON COLUMN journal.geschrieben.ressource IS 'Worauf zugegriffen wurde';
CREATE FUNCTION journal.vor_eintrag() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  new.werte := journal.ohne_werte(new.werte);
  new.transaktion := pg_current_xact_id();
  -- The app writes for whoever acts, and for nobody else.
  IF session_user = 'school_app' THEN
    new.konto_id := nullif(current_setting('classmind.konto', true), '')::uuid;
  END IF;
  INSERT INTO journal.geschrieben (transaktion, objekt, ressource) VALUES (new.transaktion, new.objekt, new.ressource)
    ON CONFLICT DO NOTHING;
  RETURN new;
END $$;
CREATE TRIGGER vor_eintrag BEFORE INSERT ON journal.eintrag FOR EACH ROW EXECUTE FUNCTION journal.vor_eintrag();
CREATE FUNCTION journal.unveraenderlich() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE insufficient_privilege USING MESSAGE = 'the journal is only added to';
END $$;
CREATE TRIGGER unveraenderlich BEFORE UPDATE OR DELETE ON journal.eintrag FOR EACH ROW EXECUTE FUNCTION journal.unveraenderlich();
CREATE TRIGGER nicht_leeren BEFORE TRUNCATE ON journal.eintrag FOR EACH STATEMENT EXECUTE FUNCTION journal.unveraenderlich();

-- The chain: each link holds the hash of its entry and of the link before. Links are made at commit, one transaction after the other.
CREATE TABLE journal.glied (
  nummer bigint PRIMARY KEY,
  zeit timestamptz NOT NULL,
  eintrag uuid NOT NULL,
  pruefwert bytea NOT NULL
);
CREATE INDEX glied_eintrag ON journal.glied (eintrag);
COMMENT ON TABLE journal.glied IS 'Kette über das Protokoll: fehlt ein Eintrag oder wurde er geändert, passt sie nicht mehr';
COMMENT ON COLUMN journal.glied.nummer IS 'Fortlaufende Nummer';
COMMENT ON COLUMN journal.glied.zeit IS 'Zeitpunkt des Eintrags';
COMMENT ON COLUMN journal.glied.eintrag IS 'Kennzeichen des Eintrags';
COMMENT ON COLUMN journal.glied.pruefwert IS 'Prüfwert über diesen Eintrag und das Glied davor';
CREATE TRIGGER unveraenderlich BEFORE UPDATE OR DELETE ON journal.glied FOR EACH ROW EXECUTE FUNCTION journal.unveraenderlich();
CREATE TRIGGER nicht_leeren BEFORE TRUNCATE ON journal.glied FOR EACH STATEMENT EXECUTE FUNCTION journal.unveraenderlich();
-- Of its fields and not of its row: to look it up would take a lock on every day there is.
CREATE FUNCTION journal.pruefwert(davor bytea, id uuid, zeit timestamptz, konto_id uuid, person_id uuid, ressource text, aktion text,
  objekt text, werte jsonb, verschlossen bytea) RETURNS bytea LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
  SELECT sha256(davor || convert_to(jsonb_build_array(id, to_char(zeit, 'YYYY-MM-DD"T"HH24:MI:SS.US'), konto_id, person_id,
    ressource, aktion, objekt, werte, encode(verschlossen, 'hex'))::text, 'UTF8'))
$$;
CREATE FUNCTION journal.anketten() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  davor journal.glied;
BEGIN
  -- The lock that all who are asked at commit share: whoever holds one of two would wait for the other's.
  PERFORM pg_advisory_xact_lock(7284019332);
  SELECT * INTO davor FROM journal.glied ORDER BY nummer DESC LIMIT 1;
  INSERT INTO journal.glied (nummer, zeit, eintrag, pruefwert)
    VALUES (coalesce(davor.nummer, 0) + 1, new.zeit, new.id, journal.pruefwert(coalesce(davor.pruefwert, ''), new.id, new.zeit,
      new.konto_id, new.person_id, new.ressource, new.aktion, new.objekt, new.werte, new.verschlossen));
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER anketten AFTER INSERT ON journal.eintrag
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION journal.anketten();

-- Entries of before come first in it.
DO $$
DECLARE
  nummer bigint := 0;
  davor bytea := '';
  e journal.eintrag;
BEGIN
  FOR e IN SELECT * FROM journal.eintrag ORDER BY zeit, id LOOP
    nummer := nummer + 1;
    davor := journal.pruefwert(davor, e.id, e.zeit, e.konto_id, e.person_id, e.ressource, e.aktion, e.objekt, e.werte, e.verschlossen);
    INSERT INTO journal.glied (nummer, zeit, eintrag, pruefwert) VALUES (nummer, e.zeit, e.id, davor);
  END LOOP;
END $$;

-- What of the chain does not hold: a changed entry, a missing one, one that was put in beside it. Nothing if all is well.
CREATE FUNCTION journal.pruefen() RETURNS TABLE (nummer bigint, eintrag uuid, was text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  zeile record;
  davor bytea := NULL;
  erwartet bigint := NULL;
BEGIN
  FOR zeile IN SELECT g.nummer, g.eintrag, g.pruefwert, e.id IS NOT NULL AS da,
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
      was := 'entry missing';
      RETURN NEXT;
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

-- Partitions of the days to come. A day of which entries lie in the rest already stays there: nothing is ever moved. To make one takes a lock
-- that a running dump holds off; nobody waits for it, and whoever comes next makes it.
CREATE FUNCTION journal.tage_anlegen(ab date, tage integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET lock_timeout = '200ms' AS $$
DECLARE
  anfang CONSTANT date := greatest(least(ab, current_date + 30), current_date - 1);
  tag date;
  name text;
  neu integer := 0;
BEGIN
  IF NOT pg_try_advisory_xact_lock(7284019334) THEN
    RETURN 0;
  END IF;
  DELETE FROM journal.geschrieben WHERE transaktion < pg_snapshot_xmin(pg_current_snapshot());
  FOR tag IN SELECT (anfang + i) FROM generate_series(0, least(tage, 30) - 1) AS i LOOP
    name := 'eintrag_' || to_char(tag, 'YYYYMMDD');
    CONTINUE WHEN to_regclass('journal.' || name) IS NOT NULL
      OR EXISTS (SELECT FROM journal.eintrag_rest r WHERE r.zeit >= tag AND r.zeit < tag + 1);
    EXECUTE format('CREATE TABLE journal.%I PARTITION OF journal.eintrag FOR VALUES FROM (%L) TO (%L)', name,
      tag::timestamptz, (tag + 1)::timestamptz);
    neu := neu + 1;
  END LOOP;
  RETURN neu;
EXCEPTION WHEN lock_not_available THEN
  RETURN 0;
END $$;

-- Of a table: each change needs, in the same transaction, an entry about one of the objects that the named columns hold. But for those who
-- rebuild the school, migrations and what invents one: they say so, and never as the app.
CREATE FUNCTION journal.verlangen() RETURNS trigger
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
  IF NOT EXISTS (SELECT FROM journal.geschrieben g WHERE g.transaktion = pg_current_xact_id() AND g.objekt = ANY (objekte)) THEN
    RAISE EXCEPTION USING ERRCODE = 'CM004',
      MESSAGE = format('%s of %s without an entry in the journal', lower(tg_op), tg_table_name);
  END IF;
  RETURN NULL;
END $$;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA journal FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
GRANT EXECUTE ON FUNCTION journal.tage_anlegen(date, integer) TO school_app;
GRANT EXECUTE ON FUNCTION journal.verlangen(), journal.tage_anlegen(date, integer), journal.pruefen() TO school_owner;
RESET ROLE;

DO $$
DECLARE
  verlangt record;
BEGIN
  FOR verlangt IN
    SELECT * FROM (VALUES
      ('person', 'INSERT OR DELETE OR UPDATE', '''id'''),
      ('konto', 'INSERT OR DELETE OR UPDATE OF benutzername, email, gesperrt_am, geloescht_am', '''id'''),
      ('kontaktdaten', 'INSERT OR DELETE OR UPDATE', '''konto_id'''),
      ('zugang', 'INSERT OR UPDATE', '''konto_id'''),
      ('rolle', 'INSERT OR DELETE OR UPDATE', '''id'''),
      ('recht', 'INSERT OR DELETE OR UPDATE', '''rolle_id'''),
      ('konto_rolle', 'INSERT OR DELETE', '''konto_id'''),
      ('nachricht', 'INSERT OR DELETE', '''id'''),
      ('datei', 'INSERT OR DELETE OR UPDATE', '''id'''),
      ('datei_freigabe', 'INSERT OR DELETE', '''datei_id'', ''konto_id''')
    ) AS t (tabelle, wann, spalten)
  LOOP
    EXECUTE format('CREATE CONSTRAINT TRIGGER protokoll AFTER %s ON %I DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
      EXECUTE FUNCTION journal.verlangen(%s)', verlangt.wann, verlangt.tabelle, verlangt.spalten);
    EXECUTE format('CREATE TRIGGER nicht_leeren BEFORE TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION journal.verlangen()',
      verlangt.tabelle);
  END LOOP;
END $$;
