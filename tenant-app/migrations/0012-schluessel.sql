-- Keys of persons: what is sensitive about somebody is sealed with a key of their own, and who destroys the key has made all of it
-- unreadable, wherever copies lie. The schema is left out of the school's dump and goes into a snapshot of its own, which is kept for 30 days.
-- So nothing here refers to other tables, nor they to it: a school restored from an old dump gets the newest keys.
CREATE SCHEMA schluessel;
GRANT USAGE ON SCHEMA schluessel TO school_app;

-- A changed key is a new version beside the old one: what was sealed with that stays readable.
CREATE TABLE schluessel.person (
  person_id uuid NOT NULL,
  fassung integer NOT NULL CHECK (fassung BETWEEN 1 AND 65535),
  verpackt bytea NOT NULL,
  seit timestamptz NOT NULL,
  PRIMARY KEY (person_id, fassung)
);
COMMENT ON TABLE schluessel.person IS 'Schlüssel der Personen: mit ihnen ist verschlossen, was über sie vertraulich ist';
COMMENT ON COLUMN schluessel.person.person_id IS 'Person, deren Schlüssel es ist';
COMMENT ON COLUMN schluessel.person.fassung IS 'Nummer des Schlüssels; ältere öffnen, was mit ihnen verschlossen wurde';
COMMENT ON COLUMN schluessel.person.verpackt IS 'Der Schlüssel, verschlüsselt mit dem der Schule';
COMMENT ON COLUMN schluessel.person.seit IS 'Zeitpunkt, seit dem er gilt';

CREATE TABLE schluessel.vernichtet (
  person_id uuid PRIMARY KEY,
  am timestamptz NOT NULL
);
COMMENT ON TABLE schluessel.vernichtet IS 'Personen, deren Schlüssel vernichtet sind: sie bekommen nie wieder einen';
COMMENT ON COLUMN schluessel.vernichtet.person_id IS 'Kennzeichen der gelöschten Person';
COMMENT ON COLUMN schluessel.vernichtet.am IS 'Zeitpunkt der Vernichtung';
ALTER TABLE schluessel.person ENABLE ROW LEVEL SECURITY;
ALTER TABLE schluessel.vernichtet ENABLE ROW LEVEL SECURITY;

-- The ways to them. They are wrapped with the school's key, which the database does not have.
CREATE FUNCTION schluessel.lesen(wer uuid[]) RETURNS TABLE (person_id uuid, fassung integer, verpackt bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT p.person_id, p.fassung, p.verpackt FROM schluessel.person p WHERE p.person_id = ANY (wer)
$$;
-- Keeps a key for somebody who has none. Whoever comes second uses the first one's; who was erased gets none (CM003).
CREATE FUNCTION schluessel.hinterlegen(wer uuid, neu bytea, jetzt timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(7284019333);
  IF EXISTS (SELECT FROM schluessel.vernichtet v WHERE v.person_id = wer) THEN
    RAISE EXCEPTION USING ERRCODE = 'CM003', MESSAGE = 'the key of this person was destroyed';
  END IF;
  INSERT INTO schluessel.person (person_id, fassung, verpackt, seit) VALUES (wer, 1, neu, jetzt) ON CONFLICT DO NOTHING;
END $$;
GRANT EXECUTE ON FUNCTION schluessel.lesen(uuid[]), schluessel.hinterlegen(uuid, bytea, timestamptz) TO school_app;
-- For the owner alone: for good, and remembered so that no restore brings the person back.
CREATE FUNCTION schluessel.vernichten(wer uuid, jetzt timestamptz) RETURNS integer
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
