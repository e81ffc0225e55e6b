-- Files. The blob lies encrypted in the file directory, its key in the row: deleting the row makes it unreadable.
CREATE TABLE datei (
  id uuid PRIMARY KEY,
  besitzer_id uuid NOT NULL REFERENCES konto ON DELETE CASCADE,
  schluessel bytea NOT NULL,
  name bytea NOT NULL,
  groesse bigint NOT NULL CHECK (groesse >= 0),
  hochgeladen_am timestamptz NOT NULL
);
CREATE INDEX datei_besitzer ON datei (besitzer_id, hochgeladen_am DESC, id);
COMMENT ON TABLE datei IS 'Dateien der Nutzer';
COMMENT ON COLUMN datei.id IS 'Kennzeichen der Datei und Name des verschlüsselten Inhalts';
COMMENT ON COLUMN datei.besitzer_id IS 'Wer die Datei eingestellt hat; unveränderlich';
COMMENT ON COLUMN datei.schluessel IS 'Eigener Schlüssel der Datei, verschlüsselt';
COMMENT ON COLUMN datei.name IS 'Dateiname (verschlüsselt)';
COMMENT ON COLUMN datei.groesse IS 'Größe in Byte';
COMMENT ON COLUMN datei.hochgeladen_am IS 'Zeitpunkt des Hochladens';

CREATE TABLE datei_freigabe (
  datei_id uuid NOT NULL REFERENCES datei ON DELETE CASCADE,
  konto_id uuid NOT NULL REFERENCES konto ON DELETE CASCADE,
  freigegeben_am timestamptz NOT NULL,
  PRIMARY KEY (datei_id, konto_id)
);
CREATE INDEX datei_freigabe_konto ON datei_freigabe (konto_id, freigegeben_am DESC);
COMMENT ON TABLE datei_freigabe IS 'Wer eine Datei lesen darf';
COMMENT ON COLUMN datei_freigabe.datei_id IS 'Freigegebene Datei';
COMMENT ON COLUMN datei_freigabe.konto_id IS 'Wer lesen darf';
COMMENT ON COLUMN datei_freigabe.freigegeben_am IS 'Zeitpunkt der Freigabe';

CREATE TABLE nachricht_datei (
  nachricht_id uuid NOT NULL REFERENCES nachricht ON DELETE CASCADE,
  datei_id uuid NOT NULL REFERENCES datei ON DELETE CASCADE,
  PRIMARY KEY (nachricht_id, datei_id)
);
CREATE INDEX nachricht_datei_datei ON nachricht_datei (datei_id);
COMMENT ON TABLE nachricht_datei IS 'Anhänge von Nachrichten';
COMMENT ON COLUMN nachricht_datei.nachricht_id IS 'Nachricht mit Anhang';
COMMENT ON COLUMN nachricht_datei.datei_id IS 'Angehängte Datei';

-- Blobs whose row is gone, until their ciphertext is collected. No reference to a person remains here.
CREATE TABLE datei_abraum (
  id uuid PRIMARY KEY,
  geloescht_am timestamptz NOT NULL
);
COMMENT ON TABLE datei_abraum IS 'Gelöschte Dateien, deren unlesbarer Rest noch abzuräumen ist';
COMMENT ON COLUMN datei_abraum.id IS 'Name des unlesbaren Rests';
COMMENT ON COLUMN datei_abraum.geloescht_am IS 'Zeitpunkt der Löschung';

-- However a row goes (its owner, the account's deletion, the operator), its blob is noted for collection.
CREATE FUNCTION datei_abraeumen() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  INSERT INTO datei_abraum (id, geloescht_am) VALUES
    (old.id, coalesce(nullif(current_setting('classmind.jetzt', true), '')::timestamptz, now()))
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;
CREATE TRIGGER datei_abraeumen AFTER DELETE ON datei FOR EACH ROW EXECUTE FUNCTION datei_abraeumen();

CREATE FUNCTION datei_unveraenderlich() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE insufficient_privilege USING MESSAGE = 'the owner of a file never changes';
END $$;
CREATE TRIGGER datei_besitzer_fest BEFORE UPDATE OF id, besitzer_id ON datei
  FOR EACH ROW WHEN (old.besitzer_id IS DISTINCT FROM new.besitzer_id OR old.id IS DISTINCT FROM new.id)
  EXECUTE FUNCTION datei_unveraenderlich();

CREATE FUNCTION ist_besitzer(gefragt uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS
$$ SELECT EXISTS (SELECT FROM datei WHERE id = gefragt AND besitzer_id = ich()) $$;
-- By context: shared with me, or attached to a message that I received or sent.
CREATE FUNCTION datei_mir_gezeigt(gefragt uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT EXISTS (SELECT FROM datei_freigabe WHERE datei_id = gefragt AND konto_id = ich())
      OR EXISTS (SELECT FROM nachricht_datei nd JOIN nachricht_empfaenger e USING (nachricht_id)
                  WHERE nd.datei_id = gefragt AND e.konto_id = ich())
$$;
-- Which of these blobs have a row: asked when collecting, by an app that sees only its own rows.
CREATE FUNCTION dateien_vorhanden(gefragt uuid[]) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS
$$ SELECT id FROM datei WHERE id = ANY (gefragt) $$;
GRANT EXECUTE ON FUNCTION ist_besitzer(uuid), datei_mir_gezeigt(uuid), dateien_vorhanden(uuid[]) TO school_app;

ALTER TABLE datei ENABLE ROW LEVEL SECURITY;
ALTER TABLE datei_freigabe ENABLE ROW LEVEL SECURITY;
ALTER TABLE nachricht_datei ENABLE ROW LEVEL SECURITY;
CREATE POLICY datei_lesen ON datei FOR SELECT TO school_app USING (besitzer_id = ich() OR datei_mir_gezeigt(id));
CREATE POLICY datei_hochladen ON datei FOR INSERT TO school_app WITH CHECK (besitzer_id = ich());
CREATE POLICY datei_loeschen ON datei FOR DELETE TO school_app USING (besitzer_id = ich());
CREATE POLICY freigabe_lesen ON datei_freigabe FOR SELECT TO school_app
  USING (konto_id = ich() OR ist_besitzer(datei_id));
CREATE POLICY freigabe_geben ON datei_freigabe FOR INSERT TO school_app WITH CHECK (ist_besitzer(datei_id));
CREATE POLICY freigabe_nehmen ON datei_freigabe FOR DELETE TO school_app USING (ist_besitzer(datei_id));
CREATE POLICY anhang_lesen ON nachricht_datei FOR SELECT TO school_app
  USING (ist_absender(nachricht_id) OR ist_empfaenger(nachricht_id) OR ist_besitzer(datei_id));
CREATE POLICY anhang_geben ON nachricht_datei FOR INSERT TO school_app
  WITH CHECK (ist_absender(nachricht_id) AND ist_besitzer(datei_id));

GRANT SELECT, INSERT, DELETE ON datei TO school_app;
GRANT SELECT, INSERT, DELETE ON datei_freigabe TO school_app;
GRANT SELECT, INSERT ON nachricht_datei TO school_app;
GRANT SELECT, DELETE ON datei_abraum TO school_app;
