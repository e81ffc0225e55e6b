-- A form that sets a one-time password sets one, however often it is sent: a reloaded page does not spoil the printed slip.
ALTER TABLE zugang ADD COLUMN vorgang uuid;
COMMENT ON COLUMN zugang.vorgang IS 'Kennzeichen des Formulars, das dieses Einmalpasswort gesetzt hat, damit es nur eines setzt';

-- Somebody else's: with the right to edit accounts, if they do not manage more than oneself; of an account that has none yet, with the right
-- to create accounts.
CREATE FUNCTION fremdes_passwort_erlaubt(ziel uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT ziel IS DISTINCT FROM ich() AND (
    'schule' = ANY (meine_umfaenge('Konto', 'bearbeiten'))
      AND EXISTS (SELECT FROM bezug.konto b WHERE b.id = ziel AND b.aktion = 'bearbeiten' AND b.umfang = 'schule')
    OR 'schule' = ANY (meine_umfaenge('Konto', 'anlegen')) AND NOT EXISTS (SELECT FROM zugang z WHERE z.konto_id = ziel))
$$;

-- One's own password, or as before somebody else's. What is set so is no form's any more.
CREATE OR REPLACE FUNCTION passwort_setzen(ziel uuid, pruefwert text, gueltig_bis timestamptz, jetzt timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF ziel IS DISTINCT FROM ich() AND NOT fremdes_passwort_erlaubt(ziel) THEN
    RAISE insufficient_privilege USING MESSAGE = 'password of another account';
  END IF;
  INSERT INTO zugang (konto_id, passwort, einmalig_bis, geaendert_am) VALUES (ziel, pruefwert, gueltig_bis, jetzt)
  ON CONFLICT (konto_id) DO UPDATE SET passwort = excluded.passwort, einmalig_bis = excluded.einmalig_bis,
    geaendert_am = excluded.geaendert_am, vorgang = NULL;
END $$;

CREATE FUNCTION einmalpasswort_setzen(ziel uuid, pruefwert text, gueltig_bis timestamptz, jetzt timestamptz, formular uuid)
RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF NOT fremdes_passwort_erlaubt(ziel) THEN
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
