-- Keys of persons: what is sensitive about somebody is sealed with a key of their own, and who destroys the key has made all of it
-- unreadable, wherever copies lie. The rows of this schema are left out of the school's dump and go, with their tables, into a snapshot of
-- their own, which is kept for 30 days. So nothing here refers to other tables, nor they to it: a school restored from an old dump gets the
-- newest keys, also one from before there were any. Then they are there before this runs: all of it can be repeated, and so must be whatever
-- changes it later.
CREATE SCHEMA IF NOT EXISTS schluessel;
GRANT USAGE ON SCHEMA schluessel TO school_app;

-- A changed key is a new one beside the old: what was sealed with that stays readable. A key is known by a name that no other ever has, so
-- that keys of two copies of a school can be put together.
CREATE TABLE IF NOT EXISTS schluessel.person (
  person_id uuid NOT NULL,
  kennung uuid NOT NULL,
  verpackt bytea NOT NULL CHECK (octet_length(verpackt) BETWEEN 40 AND 200 AND get_byte(verpackt, 0) = 1),
  seit timestamptz NOT NULL,
  PRIMARY KEY (person_id, kennung)
);
COMMENT ON TABLE schluessel.person IS 'Schlüssel der Personen: mit ihnen ist verschlossen, was über sie vertraulich ist';
COMMENT ON COLUMN schluessel.person.person_id IS 'Person, deren Schlüssel es ist';
COMMENT ON COLUMN schluessel.person.kennung IS 'Kennzeichen des Schlüssels; ältere öffnen, was mit ihnen verschlossen wurde';
COMMENT ON COLUMN schluessel.person.verpackt IS 'Der Schlüssel, verschlüsselt mit dem der Schule';
COMMENT ON COLUMN schluessel.person.seit IS 'Zeitpunkt, seit dem er gilt';

CREATE TABLE IF NOT EXISTS schluessel.vernichtet (
  person_id uuid PRIMARY KEY,
  am timestamptz NOT NULL
);
COMMENT ON TABLE schluessel.vernichtet IS 'Personen, deren Schlüssel vernichtet sind: sie bekommen nie wieder einen';
COMMENT ON COLUMN schluessel.vernichtet.person_id IS 'Kennzeichen der gelöschten Person';
COMMENT ON COLUMN schluessel.vernichtet.am IS 'Zeitpunkt der Vernichtung';
ALTER TABLE schluessel.person ENABLE ROW LEVEL SECURITY;
ALTER TABLE schluessel.vernichtet ENABLE ROW LEVEL SECURITY;

-- The ways to them. They are wrapped with the school's key, which the database does not have.
CREATE OR REPLACE FUNCTION schluessel.lesen(wer uuid[]) RETURNS TABLE (person_id uuid, kennung uuid, verpackt bytea, seit timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT p.person_id, p.kennung, p.verpackt, p.seit FROM schluessel.person p WHERE p.person_id = ANY (wer)
$$;
-- Keeps a key for somebody who has none. Whoever comes second uses the first one's; who was erased gets none (CM003).
CREATE OR REPLACE FUNCTION schluessel.hinterlegen(wer uuid, name uuid, neu bytea, jetzt timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF session_user = 'school_app' AND nullif(current_setting('classmind.konto', true), '') IS NULL THEN
    RAISE insufficient_privilege USING MESSAGE = 'nobody acts';
  END IF;
  PERFORM pg_advisory_xact_lock_shared(7284019333);
  PERFORM pg_advisory_xact_lock(7284019, hashtext(wer::text));
  IF EXISTS (SELECT FROM schluessel.vernichtet v WHERE v.person_id = wer) THEN
    RAISE EXCEPTION USING ERRCODE = 'CM003', MESSAGE = 'the key of this person was destroyed';
  END IF;
  INSERT INTO schluessel.person (person_id, kennung, verpackt, seit)
    SELECT wer, name, neu, jetzt WHERE NOT EXISTS (SELECT FROM schluessel.person p WHERE p.person_id = wer);
END $$;
GRANT EXECUTE ON FUNCTION schluessel.lesen(uuid[]), schluessel.hinterlegen(uuid, uuid, bytea, timestamptz) TO school_app;
-- For the owner alone: for good, and remembered so that no restore brings the person back.
CREATE OR REPLACE FUNCTION schluessel.vernichten(wer uuid, jetzt timestamptz) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  anzahl integer;
BEGIN
  PERFORM pg_advisory_xact_lock(7284019333);
  INSERT INTO schluessel.vernichtet (person_id, am) VALUES (wer, jetzt) ON CONFLICT DO NOTHING;
  DELETE FROM schluessel.person p WHERE p.person_id = wer;
  GET DIAGNOSTICS anzahl = ROW_COUNT;
  RETURN anzahl;
END $$;

-- With a person goes their key: what the journal still holds about them is unreadable.
CREATE FUNCTION schluessel_mit_person() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM schluessel.vernichten(old.id, now());
  RETURN NULL;
END $$;
CREATE TRIGGER schluessel_mit_person AFTER DELETE ON person FOR EACH ROW EXECUTE FUNCTION schluessel_mit_person();

-- Contact data, sealed with the person's key. The previous version of the app knows the columns beside them, under the school's key: which
-- of the two hold says whose time is that of the last change.
ALTER TABLE kontaktdaten
  ADD COLUMN telefon_verschlossen bytea,
  ADD COLUMN mobil_verschlossen bytea,
  ADD COLUMN anschrift_verschlossen bytea,
  ADD COLUMN verschlossen_am timestamptz;
COMMENT ON COLUMN kontaktdaten.telefon_verschlossen IS 'Freiwillig: telefonische Erreichbarkeit (verschlüsselt mit dem Schlüssel der Person)';
COMMENT ON COLUMN kontaktdaten.mobil_verschlossen IS 'Freiwillig: mobile Erreichbarkeit (verschlüsselt mit dem Schlüssel der Person)';
COMMENT ON COLUMN kontaktdaten.anschrift_verschlossen IS 'Freiwillig: postalische Erreichbarkeit (verschlüsselt mit dem Schlüssel der Person)';
COMMENT ON COLUMN kontaktdaten.verschlossen_am IS 'Zeitpunkt, zu dem die Angaben mit dem Schlüssel der Person verschlossen wurden';
