-- Who may what, defined once. For each kind of thing a view in the schema `bezug` says, for the acting account and now, what is true
-- of which object: (id, aktion, umfang). The gate asks it by id before anything is done; row-level security asks the same view. Views
-- belong to the owner, so they see all rows and policies do not recurse. What is of the whole school shows ids of all, and nothing else.
CREATE SCHEMA bezug;
GRANT USAGE ON SCHEMA bezug TO school_app;

-- The scopes of the rules that active roles of the acting account hold for one right; none for a locked or deleted account. Asked in
-- a subquery of its own, so that a statement asks once and not for each row.
CREATE FUNCTION meine_umfaenge(gesucht text, getan text) RETURNS text[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT coalesce(array_agg(DISTINCT x.umfang), '{}')
    FROM konto k
    JOIN konto_rolle kr ON kr.konto_id = k.id
    JOIN rolle r ON r.id = kr.rolle_id AND r.aktiv
    JOIN recht x ON x.rolle_id = r.id AND x.ressource = gesucht AND x.aktion = getan
   WHERE k.id = ich() AND k.gesperrt_am IS NULL AND k.geloescht_am IS NULL
$$;
GRANT EXECUTE ON FUNCTION meine_umfaenge(text, text) TO school_app;

-- Rules by which a school is managed: who has them can give themselves whatever they like, by way of somebody else's account. So nobody
-- acts on an account, gives or switches on a role that has more of them than oneself.
CREATE FUNCTION verwaltet_nicht_mehr_als_ich(rollen text[]) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT NOT EXISTS (
    SELECT FROM recht x
     WHERE x.rolle_id = ANY (rollen) AND x.umfang = 'schule' AND x.ressource IN ('Konto', 'Kontaktdaten', 'Rolle')
       AND NOT 'schule' = ANY (meine_umfaenge(x.ressource, x.aktion)))
$$;
GRANT EXECUTE ON FUNCTION verwaltet_nicht_mehr_als_ich(text[]) TO school_app;
CREATE FUNCTION steht_nicht_ueber_mir(gefragt uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT verwaltet_nicht_mehr_als_ich(ARRAY(SELECT kr.rolle_id FROM konto_rolle kr WHERE kr.konto_id = gefragt))
$$;
GRANT EXECUTE ON FUNCTION steht_nicht_ueber_mir(uuid) TO school_app;

-- An account is one's own, or one of the school. Nobody locks or deletes their own, nor changes one that manages more than they do.
CREATE VIEW bezug.konto (id, aktion, umfang) AS
  SELECT k.id, a.aktion, 'eigen' FROM konto k CROSS JOIN (VALUES ('lesen'), ('bearbeiten')) AS a (aktion)
   WHERE k.id = (SELECT ich()) AND k.geloescht_am IS NULL
  UNION ALL
  SELECT k.id, 'lesen', 'schule' FROM konto k WHERE k.geloescht_am IS NULL
  UNION ALL
  SELECT k.id, 'bearbeiten', 'schule' FROM konto k WHERE k.geloescht_am IS NULL AND steht_nicht_ueber_mir(k.id)
  UNION ALL
  SELECT k.id, a.aktion, 'schule' FROM konto k CROSS JOIN (VALUES ('sperren'), ('loeschen')) AS a (aktion)
   WHERE k.id <> (SELECT ich()) AND k.geloescht_am IS NULL AND steht_nicht_ueber_mir(k.id);

CREATE VIEW bezug.kontaktdaten (id, aktion, umfang) AS
  SELECT k.id, a.aktion, 'eigen' FROM konto k CROSS JOIN (VALUES ('lesen'), ('bearbeiten')) AS a (aktion)
   WHERE k.id = (SELECT ich())
  UNION ALL
  SELECT k.id, a.aktion, 'schule' FROM konto k CROSS JOIN (VALUES ('lesen'), ('bearbeiten')) AS a (aktion);

-- Roles of an account: never one's own, nor of one that manages more than oneself.
CREATE VIEW bezug.konto_rolle (id, aktion, umfang) AS
  SELECT k.id, 'bearbeiten', 'schule' FROM konto k
   WHERE k.id <> (SELECT ich()) AND k.geloescht_am IS NULL AND steht_nicht_ueber_mir(k.id);

CREATE VIEW bezug.rolle (id, aktion, umfang) AS
  SELECT r.id, a.aktion, 'schule' FROM rolle r CROSS JOIN (VALUES ('lesen'), ('bearbeiten')) AS a (aktion);

-- A message is one's own if one wrote it or received it; only who wrote it deletes it.
CREATE VIEW bezug.nachricht (id, aktion, umfang) AS
  SELECT n.id, a.aktion, 'eigen' FROM nachricht n CROSS JOIN (VALUES ('lesen'), ('loeschen')) AS a (aktion)
   WHERE n.absender_id = (SELECT ich())
  UNION ALL
  SELECT e.nachricht_id, 'lesen', 'eigen' FROM nachricht_empfaenger e WHERE e.konto_id = (SELECT ich());
CREATE VIEW bezug.geschriebene_nachricht (id) AS SELECT n.id FROM nachricht n WHERE n.absender_id = (SELECT ich());

-- A file is one's own; others are shown by sharing, or with a message that one received.
CREATE VIEW bezug.datei (id, aktion, umfang) AS
  SELECT d.id, a.aktion, a.umfang FROM datei d
   CROSS JOIN (VALUES ('lesen', 'eigen'), ('lesen', 'mitglied'), ('bearbeiten', 'eigen'), ('loeschen', 'eigen')) AS a (aktion, umfang)
   WHERE d.besitzer_id = (SELECT ich())
  UNION ALL
  SELECT f.datei_id, 'lesen', 'mitglied' FROM datei_freigabe f WHERE f.konto_id = (SELECT ich())
  UNION ALL
  SELECT nd.datei_id, 'lesen', 'mitglied' FROM nachricht_datei nd JOIN nachricht_empfaenger e USING (nachricht_id)
   WHERE e.konto_id = (SELECT ich());
CREATE VIEW bezug.eigene_datei (id) AS SELECT d.id FROM datei d WHERE d.besitzer_id = (SELECT ich());

GRANT SELECT ON ALL TABLES IN SCHEMA bezug TO school_app;

-- Row-level security asks the same views. What concerns the acting account alone stands in subqueries: once a statement.
DROP POLICY konto_anlegen ON konto;
CREATE POLICY konto_anlegen ON konto FOR INSERT TO school_app
  WITH CHECK ((SELECT 'schule' = ANY (meine_umfaenge('Konto', 'anlegen'))));
DROP POLICY konto_aendern ON konto;
CREATE POLICY konto_aendern ON konto FOR UPDATE TO school_app
  USING (id = (SELECT ich()) OR EXISTS (
    SELECT FROM bezug.konto b WHERE b.id = konto.id AND b.umfang = 'schule'
      AND (b.aktion = 'bearbeiten' AND (SELECT 'schule' = ANY (meine_umfaenge('Konto', 'bearbeiten')))
        OR b.aktion = 'sperren' AND (SELECT 'schule' = ANY (meine_umfaenge('Konto', 'sperren'))))));
-- Which columns: one's own name and lock are not one's own to change, and whoever may lock may not rename.
CREATE FUNCTION konto_spalten() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  fremd CONSTANT boolean := old.id IS DISTINCT FROM ich();
  alle_bearbeiten CONSTANT boolean := 'schule' = ANY (meine_umfaenge('Konto', 'bearbeiten'));
BEGIN
  IF current_user <> 'school_app' THEN
    RETURN new;
  END IF;
  IF (new.vorname, new.nachname, new.suchname) IS DISTINCT FROM (old.vorname, old.nachname, old.suchname)
     AND NOT alle_bearbeiten
     OR new.email IS DISTINCT FROM old.email AND NOT (alle_bearbeiten OR NOT fremd AND 'eigen' = ANY (meine_umfaenge('Konto', 'bearbeiten')))
     OR new.gesperrt_am IS DISTINCT FROM old.gesperrt_am AND NOT (fremd AND 'schule' = ANY (meine_umfaenge('Konto', 'sperren')))
     OR new.erste_anmeldung_am IS DISTINCT FROM old.erste_anmeldung_am AND fremd THEN
    RAISE insufficient_privilege USING MESSAGE = 'this column of an account';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER konto_spalten BEFORE UPDATE ON konto FOR EACH ROW EXECUTE FUNCTION konto_spalten();

DROP POLICY kontaktdaten_lesen ON kontaktdaten;
CREATE POLICY kontaktdaten_lesen ON kontaktdaten FOR SELECT TO school_app
  USING (EXISTS (SELECT FROM bezug.kontaktdaten b WHERE b.id = konto_id AND b.aktion = 'lesen'
    AND b.umfang = ANY ((SELECT meine_umfaenge('Kontaktdaten', 'lesen'))::text[])));
DROP POLICY kontaktdaten_anlegen ON kontaktdaten;
CREATE POLICY kontaktdaten_anlegen ON kontaktdaten FOR INSERT TO school_app
  WITH CHECK (EXISTS (SELECT FROM bezug.kontaktdaten b WHERE b.id = konto_id AND b.aktion = 'bearbeiten'
    AND b.umfang = ANY ((SELECT meine_umfaenge('Kontaktdaten', 'bearbeiten'))::text[])));
DROP POLICY kontaktdaten_aendern ON kontaktdaten;
CREATE POLICY kontaktdaten_aendern ON kontaktdaten FOR UPDATE TO school_app
  USING (EXISTS (SELECT FROM bezug.kontaktdaten b WHERE b.id = konto_id AND b.aktion = 'bearbeiten'
    AND b.umfang = ANY ((SELECT meine_umfaenge('Kontaktdaten', 'bearbeiten'))::text[])));

DROP POLICY konto_rolle_geben ON konto_rolle;
CREATE POLICY konto_rolle_geben ON konto_rolle FOR INSERT TO school_app
  WITH CHECK (verwaltet_nicht_mehr_als_ich(ARRAY[rolle_id])
    AND EXISTS (SELECT FROM bezug.konto_rolle b WHERE b.id = konto_id AND b.aktion = 'bearbeiten'
      AND b.umfang = ANY ((SELECT meine_umfaenge('Rolle', 'bearbeiten'))::text[])));
DROP POLICY konto_rolle_nehmen ON konto_rolle;
CREATE POLICY konto_rolle_nehmen ON konto_rolle FOR DELETE TO school_app
  USING (EXISTS (SELECT FROM bezug.konto_rolle b WHERE b.id = konto_id AND b.aktion = 'bearbeiten'
    AND b.umfang = ANY ((SELECT meine_umfaenge('Rolle', 'bearbeiten'))::text[])));

DROP POLICY zugang_eigener ON zugang;
CREATE POLICY zugang_eigener ON zugang FOR SELECT TO school_app USING (konto_id = (SELECT ich()));
DROP POLICY sitzung_eigene ON sitzung;
CREATE POLICY sitzung_eigene ON sitzung TO school_app
  USING (schluessel = (SELECT meine_sitzung()) OR konto_id = (SELECT ich()));

DROP POLICY nachricht_lesen ON nachricht;
CREATE POLICY nachricht_lesen ON nachricht FOR SELECT TO school_app
  USING (EXISTS (SELECT FROM bezug.nachricht b WHERE b.id = nachricht.id AND b.aktion = 'lesen'
    AND b.umfang = ANY ((SELECT meine_umfaenge('Nachricht', 'lesen'))::text[])));
DROP POLICY nachricht_senden ON nachricht;
CREATE POLICY nachricht_senden ON nachricht FOR INSERT TO school_app
  WITH CHECK (absender_id = (SELECT ich()) AND (SELECT 'eigen' = ANY (meine_umfaenge('Nachricht', 'anlegen'))));
DROP POLICY nachricht_loeschen ON nachricht;
CREATE POLICY nachricht_loeschen ON nachricht FOR DELETE TO school_app
  USING (EXISTS (SELECT FROM bezug.nachricht b WHERE b.id = nachricht.id AND b.aktion = 'loeschen'
    AND b.umfang = ANY ((SELECT meine_umfaenge('Nachricht', 'loeschen'))::text[])));
DROP POLICY empfaenger_lesen ON nachricht_empfaenger;
CREATE POLICY empfaenger_lesen ON nachricht_empfaenger FOR SELECT TO school_app
  USING (konto_id = (SELECT ich()) OR EXISTS (SELECT FROM bezug.geschriebene_nachricht b WHERE b.id = nachricht_id));
DROP POLICY empfaenger_senden ON nachricht_empfaenger;
CREATE POLICY empfaenger_senden ON nachricht_empfaenger FOR INSERT TO school_app
  WITH CHECK (EXISTS (SELECT FROM bezug.geschriebene_nachricht b WHERE b.id = nachricht_id));
DROP POLICY empfaenger_gelesen ON nachricht_empfaenger;
CREATE POLICY empfaenger_gelesen ON nachricht_empfaenger FOR UPDATE TO school_app USING (konto_id = (SELECT ich()));

DROP POLICY datei_lesen ON datei;
CREATE POLICY datei_lesen ON datei FOR SELECT TO school_app
  USING (EXISTS (SELECT FROM bezug.datei b WHERE b.id = datei.id AND b.aktion = 'lesen'
    AND b.umfang = ANY ((SELECT meine_umfaenge('Datei', 'lesen'))::text[])));
DROP POLICY datei_hochladen ON datei;
CREATE POLICY datei_hochladen ON datei FOR INSERT TO school_app
  WITH CHECK (besitzer_id = (SELECT ich()) AND (SELECT 'eigen' = ANY (meine_umfaenge('Datei', 'anlegen'))));
DROP POLICY datei_loeschen ON datei;
CREATE POLICY datei_loeschen ON datei FOR DELETE TO school_app
  USING (EXISTS (SELECT FROM bezug.datei b WHERE b.id = datei.id AND b.aktion = 'loeschen'
    AND b.umfang = ANY ((SELECT meine_umfaenge('Datei', 'loeschen'))::text[])));
DROP POLICY freigabe_lesen ON datei_freigabe;
CREATE POLICY freigabe_lesen ON datei_freigabe FOR SELECT TO school_app
  USING (konto_id = (SELECT ich()) OR EXISTS (SELECT FROM bezug.eigene_datei b WHERE b.id = datei_id));
DROP POLICY freigabe_geben ON datei_freigabe;
CREATE POLICY freigabe_geben ON datei_freigabe FOR INSERT TO school_app
  WITH CHECK (EXISTS (SELECT FROM bezug.eigene_datei b WHERE b.id = datei_id));
DROP POLICY freigabe_nehmen ON datei_freigabe;
CREATE POLICY freigabe_nehmen ON datei_freigabe FOR DELETE TO school_app
  USING (EXISTS (SELECT FROM bezug.eigene_datei b WHERE b.id = datei_id));
DROP POLICY anhang_lesen ON nachricht_datei;
CREATE POLICY anhang_lesen ON nachricht_datei FOR SELECT TO school_app
  USING (EXISTS (SELECT FROM bezug.nachricht b WHERE b.id = nachricht_id AND b.aktion = 'lesen')
    OR EXISTS (SELECT FROM bezug.eigene_datei b WHERE b.id = datei_id));
DROP POLICY anhang_geben ON nachricht_datei;
CREATE POLICY anhang_geben ON nachricht_datei FOR INSERT TO school_app
  WITH CHECK (EXISTS (SELECT FROM bezug.geschriebene_nachricht b WHERE b.id = nachricht_id)
    AND EXISTS (SELECT FROM bezug.eigene_datei b WHERE b.id = datei_id));

-- Lists go on from where they ended: both columns in one direction.
CREATE INDEX nachricht_empfaenger_folge ON nachricht_empfaenger (konto_id, gesendet_am, nachricht_id);
CREATE INDEX nachricht_folge ON nachricht (absender_id, gesendet_am, id);
CREATE INDEX datei_folge ON datei (besitzer_id, hochgeladen_am, id);
CREATE INDEX datei_freigabe_folge ON datei_freigabe (konto_id, freigegeben_am, datei_id);
