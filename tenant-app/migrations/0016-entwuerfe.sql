-- Drafts of messages: what somebody has begun to write, sealed with their own key, and nobody else's to see.
CREATE TABLE nachricht_entwurf (
  id uuid PRIMARY KEY,
  person_id uuid NOT NULL REFERENCES person ON DELETE CASCADE,
  verschlossen bytea NOT NULL CHECK (octet_length(verschlossen) <= 200000),
  geaendert_am timestamptz NOT NULL,
  version integer NOT NULL DEFAULT 1
);
CREATE INDEX nachricht_entwurf_folge ON nachricht_entwurf (person_id, geaendert_am, id);
COMMENT ON TABLE nachricht_entwurf IS 'Entwürfe von Nachrichten';
COMMENT ON COLUMN nachricht_entwurf.id IS 'Kennzeichen des Entwurfs; die gesendete Nachricht trägt dasselbe';
COMMENT ON COLUMN nachricht_entwurf.person_id IS 'Wer ihn schreibt';
COMMENT ON COLUMN nachricht_entwurf.verschlossen IS 'Empfänger, Betreff, Text und Anhänge (verschlüsselt mit dem Schlüssel der Person)';
COMMENT ON COLUMN nachricht_entwurf.geaendert_am IS 'Zeitpunkt der letzten Änderung';
COMMENT ON COLUMN nachricht_entwurf.version IS 'Zählt Änderungen, damit ein altes Formular keine neuere überschreibt';
CREATE TRIGGER nachricht_entwurf_version BEFORE UPDATE ON nachricht_entwurf FOR EACH ROW EXECUTE FUNCTION version_zaehlen();

CREATE VIEW bezug.nachricht_entwurf (id, aktion, umfang) AS
  SELECT e.id, 'anlegen', 'eigen' FROM nachricht_entwurf e WHERE e.person_id = (SELECT ich());
GRANT SELECT ON bezug.nachricht_entwurf TO school_app;
ALTER TABLE nachricht_entwurf ENABLE ROW LEVEL SECURITY;
CREATE POLICY entwurf_eigener ON nachricht_entwurf TO school_app
  USING (person_id = (SELECT ich()))
  WITH CHECK (person_id = (SELECT ich()) AND (SELECT 'eigen' = ANY (meine_umfaenge('Nachricht', 'anlegen'))));
GRANT SELECT, INSERT, DELETE ON nachricht_entwurf TO school_app;
GRANT UPDATE (verschlossen, geaendert_am) ON nachricht_entwurf TO school_app;
