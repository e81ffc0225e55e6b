-- A form sets one one-time password and never another, also if others came after it, or the password that its owner chose: a tab of
-- yesterday that is loaded again takes nobody's password away. Until now only the last form was known.
CREATE TABLE einmalpasswort_formular (
  konto_id uuid NOT NULL REFERENCES konto ON DELETE CASCADE,
  vorgang uuid NOT NULL,
  am timestamptz NOT NULL,
  PRIMARY KEY (konto_id, vorgang)
);
COMMENT ON TABLE einmalpasswort_formular IS 'Welche Formulare für ein Konto schon ein Einmalpasswort gesetzt haben';
COMMENT ON COLUMN einmalpasswort_formular.konto_id IS 'Konto, dessen Passwort gesetzt wurde';
COMMENT ON COLUMN einmalpasswort_formular.vorgang IS 'Kennzeichen des Formulars';
COMMENT ON COLUMN einmalpasswort_formular.am IS 'Zeitpunkt; nach 30 Tagen wird der Eintrag beim nächsten Einmalpasswort gelöscht';
ALTER TABLE einmalpasswort_formular ENABLE ROW LEVEL SECURITY;
INSERT INTO einmalpasswort_formular SELECT konto_id, vorgang, geaendert_am FROM zugang WHERE vorgang IS NOT NULL;

CREATE OR REPLACE FUNCTION einmalpasswort_setzen(ziel uuid, pruefwert text, gueltig_bis timestamptz, jetzt timestamptz, formular uuid)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF NOT fremdes_passwort_erlaubt(ziel) THEN
    RAISE insufficient_privilege USING MESSAGE = 'password of another account';
  END IF;
  DELETE FROM einmalpasswort_formular f WHERE f.konto_id = ziel AND f.am < jetzt - interval '30 days';
  INSERT INTO einmalpasswort_formular (konto_id, vorgang, am) VALUES (ziel, formular, jetzt) ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  -- The column beside it is for the version before this one.
  INSERT INTO zugang AS z (konto_id, passwort, einmalig_bis, geaendert_am, vorgang)
    VALUES (ziel, pruefwert, gueltig_bis, jetzt, formular)
  ON CONFLICT (konto_id) DO UPDATE SET passwort = excluded.passwort, einmalig_bis = excluded.einmalig_bis,
    geaendert_am = excluded.geaendert_am, vorgang = excluded.vorgang;
  RETURN true;
END $$;
