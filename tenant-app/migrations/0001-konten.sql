-- Accounts, credentials, roles, rights. Every column says what it is for: the list on /datenschutz is made from this.
REVOKE ALL ON SCHEMA public FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO school_app;

-- Who acts in this transaction: set by the app for each transaction, empty for nobody.
CREATE FUNCTION ich() RETURNS uuid LANGUAGE sql STABLE AS
$$ SELECT nullif(current_setting('classmind.konto', true), '')::uuid $$;
GRANT EXECUTE ON FUNCTION ich() TO school_app;

CREATE TABLE konto (
  id uuid PRIMARY KEY,
  benutzername text NOT NULL UNIQUE CHECK (benutzername ~ '^[a-z0-9][a-z0-9.-]{0,79}$'),
  vorname text NOT NULL CHECK (vorname <> '' AND length(vorname) <= 100),
  nachname text NOT NULL CHECK (nachname <> '' AND length(nachname) <= 100),
  email text NOT NULL CHECK (length(email) <= 254),
  suchname text NOT NULL,
  angelegt_am timestamptz NOT NULL,
  gesperrt_am timestamptz,
  geloescht_am timestamptz,
  erste_anmeldung_am timestamptz,
  erster_administrator boolean NOT NULL DEFAULT false
);
CREATE UNIQUE INDEX konto_erster_administrator ON konto (erster_administrator) WHERE erster_administrator;
CREATE INDEX konto_name ON konto (nachname, vorname, id);

COMMENT ON TABLE konto IS 'Zugänge zur Plattform';
COMMENT ON COLUMN konto.id IS 'Unveränderliches Kennzeichen des Kontos';
COMMENT ON COLUMN konto.benutzername IS 'Anmeldename, aus dem Namen gebildet';
COMMENT ON COLUMN konto.vorname IS 'Anzeige des Namens';
COMMENT ON COLUMN konto.nachname IS 'Anzeige des Namens';
COMMENT ON COLUMN konto.email IS 'Erreichbarkeit für Hinweise der Schule';
COMMENT ON COLUMN konto.suchname IS 'Name in einfachen Buchstaben, für die Suche';
COMMENT ON COLUMN konto.angelegt_am IS 'Nachvollziehen, seit wann das Konto besteht';
COMMENT ON COLUMN konto.gesperrt_am IS 'Sperre des Zugangs';
COMMENT ON COLUMN konto.geloescht_am IS 'Beginn der Frist bis zur endgültigen Löschung';
COMMENT ON COLUMN konto.erste_anmeldung_am IS 'Erkennen, ob ein Konto je benutzt wurde';
COMMENT ON COLUMN konto.erster_administrator IS 'Kennzeichnet das Konto, mit dem die Schule eingerichtet wurde';

CREATE TABLE zugang (
  konto_id uuid PRIMARY KEY REFERENCES konto ON DELETE CASCADE,
  passwort text NOT NULL,
  einmalig_bis timestamptz,
  geaendert_am timestamptz NOT NULL
);
COMMENT ON TABLE zugang IS 'Passwörter, nur als Prüfwert';
COMMENT ON COLUMN zugang.konto_id IS 'Konto, zu dem das Passwort gehört';
COMMENT ON COLUMN zugang.passwort IS 'Prüfwert des Passworts (Argon2id), das Passwort selbst wird nicht gespeichert';
COMMENT ON COLUMN zugang.einmalig_bis IS 'Ende der Gültigkeit eines Einmalpassworts';
COMMENT ON COLUMN zugang.geaendert_am IS 'Zeitpunkt der letzten Änderung';

CREATE TABLE rolle (
  id text PRIMARY KEY CHECK (id ~ '^[a-z0-9-]{1,40}$'),
  name text NOT NULL UNIQUE CHECK (name <> '' AND length(name) <= 60),
  ausgeliefert boolean NOT NULL DEFAULT false,
  aktiv boolean NOT NULL DEFAULT true,
  ansprechbar boolean NOT NULL DEFAULT false,
  rang integer NOT NULL DEFAULT 100
);
COMMENT ON TABLE rolle IS 'Rollen der Schule';
COMMENT ON COLUMN rolle.id IS 'Kennzeichen der Rolle';
COMMENT ON COLUMN rolle.name IS 'Anzeige der Rolle';
COMMENT ON COLUMN rolle.ausgeliefert IS 'Unterscheidet mitgelieferte von eigenen Rollen';
COMMENT ON COLUMN rolle.aktiv IS 'Nur aktive Rollen geben Rechte';
COMMENT ON COLUMN rolle.ansprechbar IS 'Personen dieser Rolle sind für alle als Empfänger wählbar';
COMMENT ON COLUMN rolle.rang IS 'Reihenfolge der Anzeige';

-- At most one rule for a role, resource and action: the primary key refuses the second.
CREATE TABLE recht (
  rolle_id text NOT NULL REFERENCES rolle ON DELETE CASCADE,
  ressource text NOT NULL,
  aktion text NOT NULL,
  umfang text NOT NULL CHECK (umfang IN ('eigen', 'unterrichtet', 'mitglied', 'kind', 'schule')),
  PRIMARY KEY (rolle_id, ressource, aktion)
);
COMMENT ON TABLE recht IS 'Rechte der Rollen';
COMMENT ON COLUMN recht.rolle_id IS 'Rolle, die das Recht hat';
COMMENT ON COLUMN recht.ressource IS 'Wofür das Recht gilt';
COMMENT ON COLUMN recht.aktion IS 'Was erlaubt ist';
COMMENT ON COLUMN recht.umfang IS 'Für wessen Daten es gilt';

CREATE TABLE konto_rolle (
  konto_id uuid NOT NULL REFERENCES konto ON DELETE CASCADE,
  rolle_id text NOT NULL REFERENCES rolle,
  PRIMARY KEY (konto_id, rolle_id)
);
CREATE INDEX konto_rolle_rolle ON konto_rolle (rolle_id);
COMMENT ON TABLE konto_rolle IS 'Wer welche Rolle hat';
COMMENT ON COLUMN konto_rolle.konto_id IS 'Konto mit dieser Rolle';
COMMENT ON COLUMN konto_rolle.rolle_id IS 'Zugewiesene Rolle';

CREATE TABLE kontaktdaten (
  konto_id uuid PRIMARY KEY REFERENCES konto ON DELETE CASCADE,
  telefon bytea,
  mobil bytea,
  anschrift bytea,
  geaendert_am timestamptz NOT NULL
);
COMMENT ON TABLE kontaktdaten IS 'Freiwillige Angaben, verschlüsselt gespeichert';
COMMENT ON COLUMN kontaktdaten.konto_id IS 'Konto, zu dem die Angaben gehören';
COMMENT ON COLUMN kontaktdaten.telefon IS 'Freiwillig: telefonische Erreichbarkeit (verschlüsselt)';
COMMENT ON COLUMN kontaktdaten.mobil IS 'Freiwillig: mobile Erreichbarkeit (verschlüsselt)';
COMMENT ON COLUMN kontaktdaten.anschrift IS 'Freiwillig: postalische Erreichbarkeit (verschlüsselt)';
COMMENT ON COLUMN kontaktdaten.geaendert_am IS 'Zeitpunkt der letzten Änderung';

-- The rights of the acting account, asked by policies. Runs as the owner, so that policies do not recurse.
CREATE FUNCTION darf(gesucht text, aktionen text[]) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT EXISTS (
    SELECT FROM konto k
      JOIN konto_rolle kr ON kr.konto_id = k.id
      JOIN rolle r ON r.id = kr.rolle_id AND r.aktiv
      JOIN recht x ON x.rolle_id = r.id
     WHERE k.id = ich() AND k.gesperrt_am IS NULL AND k.geloescht_am IS NULL
       AND x.ressource = gesucht AND x.aktion = ANY (aktionen) AND x.umfang = 'schule')
$$;
GRANT EXECUTE ON FUNCTION darf(text, text[]) TO school_app;

-- The only way for the app to store a password: for oneself, or with the right to edit accounts.
CREATE FUNCTION passwort_setzen(ziel uuid, pruefwert text, gueltig_bis timestamptz, jetzt timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF ziel IS DISTINCT FROM ich() AND NOT darf('Konto', ARRAY['anlegen', 'bearbeiten']) THEN
    RAISE insufficient_privilege USING MESSAGE = 'password of another account';
  END IF;
  INSERT INTO zugang (konto_id, passwort, einmalig_bis, geaendert_am) VALUES (ziel, pruefwert, gueltig_bis, jetzt)
  ON CONFLICT (konto_id) DO UPDATE SET passwort = excluded.passwort, einmalig_bis = excluded.einmalig_bis,
    geaendert_am = excluded.geaendert_am;
END $$;
GRANT EXECUTE ON FUNCTION passwort_setzen(uuid, text, timestamptz, timestamptz) TO school_app;

ALTER TABLE konto ENABLE ROW LEVEL SECURITY;
ALTER TABLE zugang ENABLE ROW LEVEL SECURITY;
ALTER TABLE konto_rolle ENABLE ROW LEVEL SECURITY;
ALTER TABLE kontaktdaten ENABLE ROW LEVEL SECURITY;

-- Names are shown beside messages and files and are looked up before login; writing needs the right.
CREATE POLICY konto_lesen ON konto FOR SELECT TO school_app USING (true);
CREATE POLICY konto_anlegen ON konto FOR INSERT TO school_app WITH CHECK (darf('Konto', ARRAY['anlegen']));
CREATE POLICY konto_aendern ON konto FOR UPDATE TO school_app
  USING (id = ich() OR darf('Konto', ARRAY['bearbeiten', 'sperren']));
CREATE POLICY zugang_eigener ON zugang FOR SELECT TO school_app USING (konto_id = ich());
CREATE POLICY konto_rolle_lesen ON konto_rolle FOR SELECT TO school_app USING (true);
CREATE POLICY konto_rolle_geben ON konto_rolle FOR INSERT TO school_app
  WITH CHECK (konto_id <> ich() AND darf('Rolle', ARRAY['bearbeiten']));
CREATE POLICY konto_rolle_nehmen ON konto_rolle FOR DELETE TO school_app
  USING (konto_id <> ich() AND darf('Rolle', ARRAY['bearbeiten']));
CREATE POLICY kontaktdaten_lesen ON kontaktdaten FOR SELECT TO school_app
  USING (konto_id = ich() OR darf('Kontaktdaten', ARRAY['lesen', 'bearbeiten']));
CREATE POLICY kontaktdaten_anlegen ON kontaktdaten FOR INSERT TO school_app
  WITH CHECK (konto_id = ich() OR darf('Kontaktdaten', ARRAY['bearbeiten']));
CREATE POLICY kontaktdaten_aendern ON kontaktdaten FOR UPDATE TO school_app
  USING (konto_id = ich() OR darf('Kontaktdaten', ARRAY['bearbeiten']));

GRANT SELECT, INSERT ON konto TO school_app;
GRANT UPDATE (vorname, nachname, email, suchname, gesperrt_am, erste_anmeldung_am) ON konto TO school_app;
GRANT SELECT ON zugang TO school_app;
GRANT SELECT ON rolle, recht TO school_app;
GRANT SELECT, INSERT, DELETE ON konto_rolle TO school_app;
GRANT SELECT, INSERT, UPDATE ON kontaktdaten TO school_app;

INSERT INTO rolle (id, name, ausgeliefert, aktiv, ansprechbar, rang) VALUES
  ('schulleitung', 'Schulleitung', true, true, true, 10),
  ('lehrer', 'Lehrer', true, true, true, 20),
  ('schueler', 'Schüler', true, true, false, 30),
  ('eltern', 'Eltern', true, false, false, 40),
  ('administrator', 'Administrator', true, true, true, 50);

INSERT INTO recht (rolle_id, ressource, aktion, umfang) VALUES
  ('schulleitung', 'Konto', 'lesen', 'schule'),
  ('schulleitung', 'Kontaktdaten', 'lesen', 'schule'),
  ('schulleitung', 'Rolle', 'lesen', 'schule'),
  ('schulleitung', 'Adressbuch', 'lesen', 'schule'),
  ('lehrer', 'Konto', 'lesen', 'eigen'),
  ('lehrer', 'Konto', 'bearbeiten', 'eigen'),
  ('lehrer', 'Kontaktdaten', 'lesen', 'eigen'),
  ('lehrer', 'Kontaktdaten', 'bearbeiten', 'eigen'),
  ('lehrer', 'Adressbuch', 'lesen', 'schule'),
  ('schueler', 'Konto', 'lesen', 'eigen'),
  ('schueler', 'Konto', 'bearbeiten', 'eigen'),
  ('schueler', 'Kontaktdaten', 'lesen', 'eigen'),
  ('schueler', 'Kontaktdaten', 'bearbeiten', 'eigen'),
  ('schueler', 'Adressbuch', 'lesen', 'mitglied'),
  ('eltern', 'Konto', 'lesen', 'eigen'),
  ('eltern', 'Konto', 'bearbeiten', 'eigen'),
  ('eltern', 'Kontaktdaten', 'lesen', 'eigen'),
  ('eltern', 'Kontaktdaten', 'bearbeiten', 'eigen'),
  ('eltern', 'Adressbuch', 'lesen', 'mitglied'),
  ('administrator', 'Konto', 'lesen', 'schule'),
  ('administrator', 'Konto', 'anlegen', 'schule'),
  ('administrator', 'Konto', 'bearbeiten', 'schule'),
  ('administrator', 'Konto', 'sperren', 'schule'),
  ('administrator', 'Konto', 'loeschen', 'schule'),
  ('administrator', 'Kontaktdaten', 'lesen', 'schule'),
  ('administrator', 'Kontaktdaten', 'bearbeiten', 'schule'),
  ('administrator', 'Rolle', 'lesen', 'schule'),
  ('administrator', 'Rolle', 'bearbeiten', 'schule'),
  ('administrator', 'Adressbuch', 'lesen', 'schule');

-- Messages and files belong to those who write and own them, whatever their role.
INSERT INTO recht (rolle_id, ressource, aktion, umfang)
  SELECT r.id, x.ressource, x.aktion, x.umfang FROM rolle r CROSS JOIN (VALUES
    ('Nachricht', 'lesen', 'eigen'),
    ('Nachricht', 'anlegen', 'eigen'),
    ('Nachricht', 'loeschen', 'eigen'),
    ('Datei', 'anlegen', 'eigen'),
    ('Datei', 'lesen', 'mitglied'),
    ('Datei', 'bearbeiten', 'eigen'),
    ('Datei', 'loeschen', 'eigen')
  ) AS x(ressource, aktion, umfang);
