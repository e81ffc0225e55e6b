-- A second factor for what is especially sensitive (R36): a secret that the person's device turns into codes, and codes for when it is lost.
CREATE TABLE zweitfaktor (
  konto_id uuid PRIMARY KEY REFERENCES konto ON DELETE CASCADE,
  geheimnis bytea NOT NULL,
  angelegt_am timestamptz NOT NULL,
  bestaetigt_am timestamptz,
  letzter_schritt bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE zweitfaktor IS 'Zweiter Faktor neben dem Passwort, für besonders sensible Bereiche';
COMMENT ON COLUMN zweitfaktor.konto_id IS 'Konto';
COMMENT ON COLUMN zweitfaktor.geheimnis IS 'Geheimnis, aus dem das Gerät Codes macht, verschlüsselt mit dem Schlüssel der Person';
COMMENT ON COLUMN zweitfaktor.angelegt_am IS 'Beginn der Einrichtung';
COMMENT ON COLUMN zweitfaktor.bestaetigt_am IS 'Seit wann er gilt; leer, solange er eingerichtet wird';
COMMENT ON COLUMN zweitfaktor.letzter_schritt IS 'Zeitschritt des letzten Codes: Jeder gilt einmal';
CREATE TABLE wiederherstellungscode (
  konto_id uuid NOT NULL REFERENCES zweitfaktor ON DELETE CASCADE,
  pruefwert bytea NOT NULL,
  PRIMARY KEY (konto_id, pruefwert)
);
COMMENT ON TABLE wiederherstellungscode IS 'Codes für den Fall, dass das Gerät für den zweiten Faktor verloren geht; jeder gilt einmal';
COMMENT ON COLUMN wiederherstellungscode.konto_id IS 'Konto';
COMMENT ON COLUMN wiederherstellungscode.pruefwert IS 'Prüfwert des Codes';
ALTER TABLE zweitfaktor ENABLE ROW LEVEL SECURITY;
ALTER TABLE wiederherstellungscode ENABLE ROW LEVEL SECURITY;
CREATE POLICY zweitfaktor_eigener ON zweitfaktor FOR ALL TO school_app USING (konto_id = (SELECT ich()));
CREATE POLICY wiederherstellungscode_eigener ON wiederherstellungscode FOR ALL TO school_app USING (konto_id = (SELECT ich()));
GRANT SELECT, INSERT, UPDATE (geheimnis, angelegt_am, bestaetigt_am, letzter_schritt), DELETE ON zweitfaktor TO school_app;
GRANT SELECT, INSERT, DELETE ON wiederherstellungscode TO school_app;
CREATE CONSTRAINT TRIGGER protokoll AFTER INSERT OR UPDATE OF geheimnis, bestaetigt_am OR DELETE ON zweitfaktor DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION journal.verlangen('konto_id');
-- Somebody whose device is gone: whoever may give them a password may take it away, without ever reading it.
CREATE FUNCTION zweitfaktor_entfernen(wessen uuid) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF wessen = ich() OR NOT EXISTS (SELECT FROM bezug.konto b WHERE b.id = wessen AND b.aktion = 'bearbeiten' AND b.umfang = 'schule')
     OR NOT 'schule' = ANY (meine_umfaenge('Konto', 'bearbeiten')) THEN
    RAISE insufficient_privilege USING MESSAGE = 'second factor of another account';
  END IF;
  DELETE FROM zweitfaktor z WHERE z.konto_id = wessen;
  RETURN FOUND;
END $$;
GRANT EXECUTE ON FUNCTION zweitfaktor_entfernen(uuid) TO school_app;

ALTER TABLE sitzung ADD COLUMN zweitfaktor_am timestamptz;
COMMENT ON COLUMN sitzung.zweitfaktor_am IS 'Wann in dieser Sitzung der zweite Faktor bestätigt wurde';
GRANT UPDATE (zweitfaktor_am) ON sitzung TO school_app;
ALTER TABLE rolle ADD COLUMN zweitfaktor boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN rolle.zweitfaktor IS 'Ob für besonders sensible Bereiche ein zweiter Faktor verlangt wird';
GRANT UPDATE (zweitfaktor) ON rolle TO school_app;
CREATE OR REPLACE TRIGGER rolle_version BEFORE UPDATE OF name, aktiv, ansprechbar, zweitfaktor ON rolle
  FOR EACH ROW EXECUTE FUNCTION version_zaehlen();

CREATE FUNCTION zweitfaktor_der_sitzung(wessen uuid, gesucht bytea) RETURNS TABLE (zf_da boolean, zf_bestanden boolean, zf_verlangt boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  RETURN QUERY SELECT
    EXISTS (SELECT FROM zweitfaktor z WHERE z.konto_id = wessen AND z.bestaetigt_am IS NOT NULL),
    -- Of the one that counts now: who had shown an earlier one, since removed, has shown nothing of this one.
    EXISTS (SELECT FROM sitzung s JOIN zweitfaktor z ON z.konto_id = s.konto_id
      WHERE s.schluessel = gesucht AND s.konto_id = wessen AND s.zweitfaktor_am >= z.bestaetigt_am),
    EXISTS (SELECT FROM konto_rolle kr JOIN rolle r ON r.id = kr.rolle_id AND r.aktiv AND r.zweitfaktor WHERE kr.konto_id = wessen);
END $$;
GRANT EXECUTE ON FUNCTION zweitfaktor_der_sitzung(uuid, bytea) TO school_app;
