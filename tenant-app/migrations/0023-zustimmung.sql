-- Who confirmed which version of the privacy policy, and when.
CREATE TABLE zustimmung (
  person_id uuid NOT NULL REFERENCES person ON DELETE CASCADE,
  fassung date NOT NULL,
  am timestamptz NOT NULL,
  PRIMARY KEY (person_id, fassung)
);
COMMENT ON TABLE zustimmung IS 'Wer welche Fassung der Datenschutzerklärung bestätigt hat';
COMMENT ON COLUMN zustimmung.person_id IS 'Wer bestätigt hat';
COMMENT ON COLUMN zustimmung.fassung IS 'Fassung, mit ihrem Tag benannt';
COMMENT ON COLUMN zustimmung.am IS 'Zeitpunkt der Bestätigung';
ALTER TABLE zustimmung ENABLE ROW LEVEL SECURITY;
CREATE POLICY zustimmung_eigene ON zustimmung FOR SELECT TO school_app USING (person_id = (SELECT ich()));
CREATE POLICY zustimmung_geben ON zustimmung FOR INSERT TO school_app WITH CHECK (person_id = (SELECT ich()));
GRANT SELECT, INSERT ON zustimmung TO school_app;

COMMENT ON TABLE schema_migration IS 'Welche Änderungen am Aufbau der Datenbank eingespielt sind';
COMMENT ON COLUMN schema_migration.nummer IS 'Nummer der Änderung';
COMMENT ON COLUMN schema_migration.name IS 'Name der Änderung';
COMMENT ON COLUMN schema_migration.pruefsumme IS 'Nachweis, dass sie unverändert ist';
COMMENT ON COLUMN schema_migration.am IS 'Zeitpunkt des Einspielens';
