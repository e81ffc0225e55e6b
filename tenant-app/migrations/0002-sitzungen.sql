-- Sessions and the brake on failed logins. Both hold keyed hashes only: a stolen dump opens no session.
CREATE FUNCTION meine_sitzung() RETURNS bytea LANGUAGE sql STABLE AS
$$ SELECT decode(nullif(current_setting('classmind.sitzung', true), ''), 'hex') $$;
GRANT EXECUTE ON FUNCTION meine_sitzung() TO school_app;

CREATE TABLE sitzung (
  schluessel bytea PRIMARY KEY,
  sicherheit bytea NOT NULL,
  konto_id uuid NOT NULL REFERENCES konto ON DELETE CASCADE,
  begonnen_am timestamptz NOT NULL,
  zuletzt_am timestamptz NOT NULL,
  nur_passwort boolean NOT NULL DEFAULT false
);
CREATE INDEX sitzung_konto ON sitzung (konto_id);
COMMENT ON TABLE sitzung IS 'Laufende Anmeldungen';
COMMENT ON COLUMN sitzung.schluessel IS 'Prüfwert des Sitzungs-Schlüssels';
COMMENT ON COLUMN sitzung.sicherheit IS 'Prüfwert des Sicherheits-Schlüssels';
COMMENT ON COLUMN sitzung.konto_id IS 'Angemeldetes Konto';
COMMENT ON COLUMN sitzung.begonnen_am IS 'Ende der Sitzung nach festgelegter Zeit';
COMMENT ON COLUMN sitzung.zuletzt_am IS 'Ende der Sitzung bei Untätigkeit';
COMMENT ON COLUMN sitzung.nur_passwort IS 'Angemeldet mit Einmalpasswort: zuerst ist ein eigenes zu wählen';

ALTER TABLE sitzung ENABLE ROW LEVEL SECURITY;
CREATE POLICY sitzung_eigene ON sitzung TO school_app
  USING (schluessel = meine_sitzung() OR konto_id = ich());
GRANT SELECT, INSERT, DELETE ON sitzung TO school_app;
GRANT UPDATE (zuletzt_am) ON sitzung TO school_app;

-- Ends the sessions of another account: needs the right to edit or lock accounts.
CREATE FUNCTION sitzungen_beenden(ziel uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF ziel IS DISTINCT FROM ich() AND NOT darf('Konto', ARRAY['bearbeiten', 'sperren']) THEN
    RAISE insufficient_privilege USING MESSAGE = 'sessions of another account';
  END IF;
  DELETE FROM sitzung WHERE konto_id = ziel;
END $$;
GRANT EXECUTE ON FUNCTION sitzungen_beenden(uuid) TO school_app;

CREATE TABLE anmeldebremse (
  eimer bytea PRIMARY KEY,
  fehler integer NOT NULL,
  zuletzt_am timestamptz NOT NULL,
  gesperrt_bis timestamptz,
  erfolg_am timestamptz
);
COMMENT ON TABLE anmeldebremse IS 'Schutz vor dem Erraten von Passwörtern';
COMMENT ON COLUMN anmeldebremse.eimer IS 'Prüfwert aus Anmeldename und Netz, nicht umkehrbar';
COMMENT ON COLUMN anmeldebremse.fehler IS 'Zahl der Fehlversuche';
COMMENT ON COLUMN anmeldebremse.zuletzt_am IS 'Zeitpunkt des letzten Versuchs';
COMMENT ON COLUMN anmeldebremse.gesperrt_bis IS 'Ende der Wartezeit';
COMMENT ON COLUMN anmeldebremse.erfolg_am IS 'Letzte erfolgreiche Anmeldung, damit Fremde niemanden aussperren können';
GRANT SELECT, INSERT, UPDATE, DELETE ON anmeldebremse TO school_app;

-- Daily tidying, the same for the app and for the owner.
CREATE FUNCTION sitzungen_aufraeumen(jetzt timestamptz, untaetig interval, hoechstens interval) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH weg AS (
    DELETE FROM sitzung WHERE zuletzt_am < jetzt - untaetig OR begonnen_am < jetzt - hoechstens RETURNING 1
  ) SELECT count(*) FROM weg
$$;
GRANT EXECUTE ON FUNCTION sitzungen_aufraeumen(timestamptz, interval, interval) TO school_app;
