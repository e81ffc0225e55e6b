-- Files that those who run the instance took down after a notice (R25). The file's row and key are gone; here stands for its owner which one
-- it was, and why: sealed with the owner's key, so that it goes with that.
CREATE TABLE datei_entfernung (
  id uuid PRIMARY KEY,
  besitzer_id uuid NOT NULL REFERENCES person ON DELETE CASCADE,
  verschlossen bytea NOT NULL CHECK (octet_length(verschlossen) <= 20000),
  entfernt_am timestamptz NOT NULL,
  gelesen_am timestamptz
);
CREATE INDEX datei_entfernung_besitzer ON datei_entfernung (besitzer_id, entfernt_am DESC);
COMMENT ON TABLE datei_entfernung IS 'Dateien, die der Betreiber nach einer Meldung entfernt hat';
COMMENT ON COLUMN datei_entfernung.id IS 'Kennzeichen der entfernten Datei';
COMMENT ON COLUMN datei_entfernung.besitzer_id IS 'Wem die Datei gehörte; wird benachrichtigt';
COMMENT ON COLUMN datei_entfernung.verschlossen IS 'Name der Datei und Grund, verschlüsselt mit dem Schlüssel des Besitzers';
COMMENT ON COLUMN datei_entfernung.entfernt_am IS 'Zeitpunkt der Entfernung';
COMMENT ON COLUMN datei_entfernung.gelesen_am IS 'Wann der Besitzer es zur Kenntnis genommen hat; 30 Tage danach wird die Zeile gelöscht';
ALTER TABLE datei_entfernung ENABLE ROW LEVEL SECURITY;
CREATE POLICY entfernung_lesen ON datei_entfernung FOR SELECT TO school_app USING (besitzer_id = (SELECT ich()));
CREATE POLICY entfernung_gelesen ON datei_entfernung FOR UPDATE TO school_app USING (besitzer_id = (SELECT ich()));
GRANT SELECT, UPDATE (gelesen_am) ON datei_entfernung TO school_app;
CREATE CONSTRAINT TRIGGER protokoll AFTER INSERT ON datei_entfernung DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  EXECUTE FUNCTION journal.verlangen('id');

-- What its owner has taken note of goes; not earlier by an app whose clock is ahead.
CREATE FUNCTION entfernungen_abraeumen(vor timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  anzahl integer;
BEGIN
  DELETE FROM datei_entfernung d WHERE d.gelesen_am < least(vor, now() - interval '30 days');
  GET DIAGNOSTICS anzahl = ROW_COUNT;
  RETURN anzahl;
END $$;
REVOKE EXECUTE ON FUNCTION entfernungen_abraeumen(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION entfernungen_abraeumen(timestamptz) TO school_app;
