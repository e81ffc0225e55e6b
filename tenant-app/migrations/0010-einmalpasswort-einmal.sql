-- A form that sets a one-time password sets one, however often it is sent: a reloaded page does not spoil the printed slip.
ALTER TABLE zugang ADD COLUMN vorgang uuid;
COMMENT ON COLUMN zugang.vorgang IS 'Kennzeichen des Formulars, das dieses Einmalpasswort gesetzt hat, damit es nur eines setzt';

CREATE FUNCTION einmalpasswort_setzen(ziel uuid, pruefwert text, gueltig_bis timestamptz, jetzt timestamptz, formular uuid)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF ziel IS DISTINCT FROM ich() AND NOT darf('Konto', ARRAY['anlegen', 'bearbeiten']) THEN
    RAISE insufficient_privilege USING MESSAGE = 'password of another account';
  END IF;
  INSERT INTO zugang AS z (konto_id, passwort, einmalig_bis, geaendert_am, vorgang)
    VALUES (ziel, pruefwert, gueltig_bis, jetzt, formular)
  ON CONFLICT (konto_id) DO UPDATE SET passwort = excluded.passwort, einmalig_bis = excluded.einmalig_bis,
    geaendert_am = excluded.geaendert_am, vorgang = excluded.vorgang
    WHERE z.vorgang IS DISTINCT FROM excluded.vorgang;
  RETURN FOUND;
END $$;
GRANT EXECUTE ON FUNCTION einmalpasswort_setzen(uuid, text, timestamptz, timestamptz, uuid) TO school_app;
