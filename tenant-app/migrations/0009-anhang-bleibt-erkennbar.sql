-- A file that hung on a message and was deleted since: whoever received it is told that it was there. Neither name nor content remain.
CREATE TABLE nachricht_anhang_geloescht (
  nachricht_id uuid PRIMARY KEY REFERENCES nachricht ON DELETE CASCADE,
  anzahl integer NOT NULL
);
COMMENT ON TABLE nachricht_anhang_geloescht IS 'Wie viele Anhänge einer Nachricht ihr Besitzer gelöscht hat';
COMMENT ON COLUMN nachricht_anhang_geloescht.nachricht_id IS 'Nachricht, an der die Dateien hingen';
COMMENT ON COLUMN nachricht_anhang_geloescht.anzahl IS 'Wie viele Dateien es waren';
ALTER TABLE nachricht_anhang_geloescht ENABLE ROW LEVEL SECURITY;
CREATE POLICY anhang_geloescht_lesen ON nachricht_anhang_geloescht FOR SELECT TO school_app
  USING (EXISTS (SELECT FROM bezug.nachricht b WHERE b.id = nachricht_id AND b.aktion = 'lesen'));
GRANT SELECT ON nachricht_anhang_geloescht TO school_app;

-- However the file goes: its owner, the account's deletion, the operator. A message that goes with it leaves nothing.
CREATE FUNCTION anhang_merken() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  INSERT INTO nachricht_anhang_geloescht AS g (nachricht_id, anzahl)
    SELECT old.nachricht_id, 1 WHERE EXISTS (SELECT FROM nachricht n WHERE n.id = old.nachricht_id)
  ON CONFLICT (nachricht_id) DO UPDATE SET anzahl = g.anzahl + 1;
  RETURN NULL;
END $$;
CREATE TRIGGER anhang_merken AFTER DELETE ON nachricht_datei FOR EACH ROW EXECUTE FUNCTION anhang_merken();
