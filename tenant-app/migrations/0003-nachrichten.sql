-- Messages. Subject and text are encrypted with a key of the message's own, which goes with the row.
CREATE TABLE nachricht (
  id uuid PRIMARY KEY,
  absender_id uuid REFERENCES konto ON DELETE SET NULL,
  schluessel bytea NOT NULL,
  betreff bytea NOT NULL,
  inhalt bytea NOT NULL,
  gesendet_am timestamptz NOT NULL
);
CREATE INDEX nachricht_absender ON nachricht (absender_id, gesendet_am DESC, id);
COMMENT ON TABLE nachricht IS 'Nachrichten zwischen Konten';
COMMENT ON COLUMN nachricht.id IS 'Kennzeichen der Nachricht';
COMMENT ON COLUMN nachricht.absender_id IS 'Wer geschrieben hat und löschen darf';
COMMENT ON COLUMN nachricht.schluessel IS 'Eigener Schlüssel der Nachricht, verschlüsselt';
COMMENT ON COLUMN nachricht.betreff IS 'Betreff (verschlüsselt)';
COMMENT ON COLUMN nachricht.inhalt IS 'Text (verschlüsselt)';
COMMENT ON COLUMN nachricht.gesendet_am IS 'Zeitpunkt des Sendens';

CREATE TABLE nachricht_empfaenger (
  nachricht_id uuid NOT NULL REFERENCES nachricht ON DELETE CASCADE,
  konto_id uuid NOT NULL REFERENCES konto ON DELETE CASCADE,
  gesendet_am timestamptz NOT NULL,
  gelesen_am timestamptz,
  PRIMARY KEY (nachricht_id, konto_id)
);
CREATE INDEX nachricht_empfaenger_eingang ON nachricht_empfaenger (konto_id, gesendet_am DESC, nachricht_id);
CREATE INDEX nachricht_empfaenger_neu ON nachricht_empfaenger (konto_id) WHERE gelesen_am IS NULL;
COMMENT ON TABLE nachricht_empfaenger IS 'Wer eine Nachricht erhalten hat';
COMMENT ON COLUMN nachricht_empfaenger.nachricht_id IS 'Nachricht';
COMMENT ON COLUMN nachricht_empfaenger.konto_id IS 'Empfängerin oder Empfänger';
COMMENT ON COLUMN nachricht_empfaenger.gesendet_am IS 'Reihenfolge im Posteingang';
COMMENT ON COLUMN nachricht_empfaenger.gelesen_am IS 'Kennzeichnung ungelesener Nachrichten';

CREATE FUNCTION ist_absender(gefragt uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS
$$ SELECT EXISTS (SELECT FROM nachricht WHERE id = gefragt AND absender_id = ich()) $$;
CREATE FUNCTION ist_empfaenger(gefragt uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS
$$ SELECT EXISTS (SELECT FROM nachricht_empfaenger WHERE nachricht_id = gefragt AND konto_id = ich()) $$;
GRANT EXECUTE ON FUNCTION ist_absender(uuid), ist_empfaenger(uuid) TO school_app;

ALTER TABLE nachricht ENABLE ROW LEVEL SECURITY;
ALTER TABLE nachricht_empfaenger ENABLE ROW LEVEL SECURITY;
CREATE POLICY nachricht_lesen ON nachricht FOR SELECT TO school_app
  USING (absender_id = ich() OR ist_empfaenger(id));
CREATE POLICY nachricht_senden ON nachricht FOR INSERT TO school_app WITH CHECK (absender_id = ich());
CREATE POLICY nachricht_loeschen ON nachricht FOR DELETE TO school_app USING (absender_id = ich());
CREATE POLICY empfaenger_lesen ON nachricht_empfaenger FOR SELECT TO school_app
  USING (konto_id = ich() OR ist_absender(nachricht_id));
CREATE POLICY empfaenger_senden ON nachricht_empfaenger FOR INSERT TO school_app
  WITH CHECK (ist_absender(nachricht_id));
CREATE POLICY empfaenger_gelesen ON nachricht_empfaenger FOR UPDATE TO school_app USING (konto_id = ich());

GRANT SELECT, INSERT, DELETE ON nachricht TO school_app;
GRANT SELECT, INSERT ON nachricht_empfaenger TO school_app;
GRANT UPDATE (gelesen_am) ON nachricht_empfaenger TO school_app;
