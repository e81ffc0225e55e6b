-- The journal: a schema and an owner of its own; the app may append and not read. One partition for all days for now.
CREATE SCHEMA journal AUTHORIZATION school_journal;
GRANT USAGE ON SCHEMA journal TO school_app;

SET LOCAL ROLE school_journal;
CREATE TABLE journal.eintrag (
  id uuid NOT NULL,
  zeit timestamptz NOT NULL,
  konto_id uuid,
  ressource text NOT NULL,
  aktion text NOT NULL,
  objekt text NOT NULL,
  werte jsonb NOT NULL DEFAULT '{}',
  PRIMARY KEY (zeit, id)
) PARTITION BY RANGE (zeit);
CREATE TABLE journal.eintrag_rest PARTITION OF journal.eintrag DEFAULT;
COMMENT ON TABLE journal.eintrag IS 'Protokoll der Schreibzugriffe';
COMMENT ON COLUMN journal.eintrag.id IS 'Kennzeichen des Eintrags';
COMMENT ON COLUMN journal.eintrag.zeit IS 'Zeitpunkt des Zugriffs';
COMMENT ON COLUMN journal.eintrag.konto_id IS 'Wer zugegriffen hat; leer für den Betreiber';
COMMENT ON COLUMN journal.eintrag.ressource IS 'Worauf zugegriffen wurde';
COMMENT ON COLUMN journal.eintrag.aktion IS 'Was getan wurde';
COMMENT ON COLUMN journal.eintrag.objekt IS 'Kennzeichen des Objekts';
COMMENT ON COLUMN journal.eintrag.werte IS 'Alte und neue Werte, um Änderungen zurücknehmen zu können';
GRANT INSERT ON journal.eintrag TO school_app;
RESET ROLE;
