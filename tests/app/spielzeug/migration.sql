-- Wishes: the toy feature of docs/feature.md.
CREATE TABLE wunsch (
  id uuid PRIMARY KEY,
  konto_id uuid NOT NULL REFERENCES konto ON DELETE CASCADE,
  text text NOT NULL CHECK (text <> '' AND length(text) <= 200),
  gewuenscht_am timestamptz NOT NULL
);
CREATE INDEX wunsch_folge ON wunsch (konto_id, gewuenscht_am, id);
COMMENT ON TABLE wunsch IS 'Wünsche an die Schule';
COMMENT ON COLUMN wunsch.id IS 'Kennzeichen des Wunsches';
COMMENT ON COLUMN wunsch.konto_id IS 'Wer ihn hat';
COMMENT ON COLUMN wunsch.text IS 'Was gewünscht wird';
COMMENT ON COLUMN wunsch.gewuenscht_am IS 'Seit wann';

CREATE VIEW bezug.wunsch (id, aktion, umfang) AS
  SELECT w.id, a.aktion, 'eigen' FROM wunsch w CROSS JOIN (VALUES ('lesen'), ('loeschen')) AS a (aktion)
   WHERE w.konto_id = (SELECT ich())
  UNION ALL
  SELECT w.id, 'lesen', 'schule' FROM wunsch w;
GRANT SELECT ON bezug.wunsch TO school_app;

ALTER TABLE wunsch ENABLE ROW LEVEL SECURITY;
CREATE POLICY wunsch_lesen ON wunsch FOR SELECT TO school_app
  USING (EXISTS (SELECT FROM bezug.wunsch b WHERE b.id = wunsch.id AND b.aktion = 'lesen'
    AND b.umfang = ANY ((SELECT meine_umfaenge('Wunsch', 'lesen'))::text[])));
CREATE POLICY wunsch_anlegen ON wunsch FOR INSERT TO school_app
  WITH CHECK (konto_id = (SELECT ich()) AND (SELECT 'eigen' = ANY (meine_umfaenge('Wunsch', 'anlegen'))));
CREATE POLICY wunsch_loeschen ON wunsch FOR DELETE TO school_app
  USING (EXISTS (SELECT FROM bezug.wunsch b WHERE b.id = wunsch.id AND b.aktion = 'loeschen'
    AND b.umfang = ANY ((SELECT meine_umfaenge('Wunsch', 'loeschen'))::text[])));
GRANT SELECT, INSERT, DELETE ON wunsch TO school_app;

INSERT INTO recht (rolle_id, ressource, aktion, umfang) VALUES
  ('schueler', 'Wunsch', 'lesen', 'eigen'),
  ('schueler', 'Wunsch', 'anlegen', 'eigen'),
  ('schueler', 'Wunsch', 'loeschen', 'eigen'),
  ('schulleitung', 'Wunsch', 'lesen', 'schule');

-- Of somebody who is erased the wishes go, whatever was chosen for their contents.
CREATE FUNCTION wuensche_der_person_loeschen(wer uuid, hoechstens integer) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  a integer;
BEGIN
  PERFORM loeschwahl(wer);
  DELETE FROM wunsch w WHERE w.id IN (SELECT x.id FROM wunsch x WHERE x.konto_id = wer LIMIT hoechstens);
  GET DIAGNOSTICS a = ROW_COUNT;
  RETURN zaehlung('wuensche', a::text);
END $$;
GRANT EXECUTE ON FUNCTION wuensche_der_person_loeschen(uuid, integer) TO school_app;
