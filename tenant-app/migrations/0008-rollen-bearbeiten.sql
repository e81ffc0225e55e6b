-- Roles that a school edits, rows that know which state a form was filled in from, and an administrator that always remains.

-- Which state of a row somebody saw: a form that was filled in from an older one does not overwrite.
ALTER TABLE rolle ADD COLUMN version integer NOT NULL DEFAULT 1;
COMMENT ON COLUMN rolle.version IS 'Zählt Änderungen, damit ein altes Formular keine neuere überschreibt';
ALTER TABLE konto ADD COLUMN version integer NOT NULL DEFAULT 1;
COMMENT ON COLUMN konto.version IS 'Zählt Änderungen, damit ein altes Formular keine neuere überschreibt';
CREATE FUNCTION version_zaehlen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  new.version := old.version + 1;
  RETURN new;
END $$;
CREATE TRIGGER konto_version BEFORE UPDATE OF vorname, nachname, email ON konto
  FOR EACH ROW EXECUTE FUNCTION version_zaehlen();
CREATE TRIGGER rolle_version BEFORE UPDATE OF name, aktiv, ansprechbar ON rolle
  FOR EACH ROW EXECUTE FUNCTION version_zaehlen();

-- Everybody's role is shown to everybody; editing needs the right, and nobody gives a right that they do not hold themselves.
ALTER TABLE rolle ENABLE ROW LEVEL SECURITY;
ALTER TABLE recht ENABLE ROW LEVEL SECURITY;
CREATE POLICY rolle_lesen ON rolle FOR SELECT TO school_app USING (true);
CREATE POLICY rolle_anlegen ON rolle FOR INSERT TO school_app
  WITH CHECK (NOT ausgeliefert AND (SELECT 'schule' = ANY (meine_umfaenge('Rolle', 'bearbeiten'))));
CREATE POLICY rolle_aendern ON rolle FOR UPDATE TO school_app
  USING (EXISTS (SELECT FROM bezug.rolle b WHERE b.id = rolle.id AND b.aktion = 'bearbeiten'
    AND b.umfang = ANY ((SELECT meine_umfaenge('Rolle', 'bearbeiten'))::text[])));
-- Switched on, a role gives what it holds: nobody switches on one that manages more than they do, nor one of their own that gives them more.
CREATE FUNCTION rolle_einschalten() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_user = 'school_app' AND (
    NOT verwaltet_nicht_mehr_als_ich(ARRAY[new.id])
    OR EXISTS (SELECT FROM konto_rolle kr WHERE kr.rolle_id = new.id AND kr.konto_id = ich())
       AND EXISTS (SELECT FROM recht x WHERE x.rolle_id = new.id
         AND NOT (x.umfang = ANY (meine_umfaenge(x.ressource, x.aktion)) OR 'schule' = ANY (meine_umfaenge(x.ressource, x.aktion))))) THEN
    RAISE EXCEPTION USING ERRCODE = 'CM002', MESSAGE = 'this role would give more than whoever switches it on has';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER rolle_einschalten BEFORE UPDATE OF aktiv ON rolle
  FOR EACH ROW WHEN (new.aktiv AND NOT old.aktiv) EXECUTE FUNCTION rolle_einschalten();
CREATE POLICY rolle_loeschen ON rolle FOR DELETE TO school_app
  USING (NOT ausgeliefert AND EXISTS (SELECT FROM bezug.rolle b WHERE b.id = rolle.id AND b.aktion = 'bearbeiten'
    AND b.umfang = ANY ((SELECT meine_umfaenge('Rolle', 'bearbeiten'))::text[])));
CREATE POLICY recht_lesen ON recht FOR SELECT TO school_app USING (true);
CREATE POLICY recht_geben ON recht FOR INSERT TO school_app
  WITH CHECK ((SELECT 'schule' = ANY (meine_umfaenge('Rolle', 'bearbeiten')))
    AND (umfang = ANY (meine_umfaenge(ressource, aktion)) OR 'schule' = ANY (meine_umfaenge(ressource, aktion))));
CREATE POLICY recht_aendern ON recht FOR UPDATE TO school_app
  USING ((SELECT 'schule' = ANY (meine_umfaenge('Rolle', 'bearbeiten'))))
  WITH CHECK (umfang = ANY (meine_umfaenge(ressource, aktion)) OR 'schule' = ANY (meine_umfaenge(ressource, aktion)));
CREATE POLICY recht_nehmen ON recht FOR DELETE TO school_app
  USING ((SELECT 'schule' = ANY (meine_umfaenge('Rolle', 'bearbeiten'))));
GRANT INSERT, DELETE ON rolle, recht TO school_app;
GRANT UPDATE (name, aktiv, ansprechbar) ON rolle TO school_app;
GRANT UPDATE (umfang) ON recht TO school_app;

-- Somebody who can sign in and may manage accounts and roles: what makes an administrator is what they may, not what a role is called.
-- Whoever takes something from one leaves another, whoever changes what at the same time. Asked at commit; those who take something take
-- turns, so that each sees what the other did.
CREATE FUNCTION verwaltet(gefragt uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT NOT EXISTS (
    SELECT FROM (VALUES ('Konto', 'bearbeiten'), ('Konto', 'sperren'), ('Rolle', 'bearbeiten')) AS noetig (ressource, aktion)
     WHERE NOT EXISTS (
       SELECT FROM konto_rolle kr
         JOIN rolle r ON r.id = kr.rolle_id AND r.aktiv
         JOIN recht x ON x.rolle_id = r.id AND x.umfang = 'schule'
        WHERE kr.konto_id = gefragt AND x.ressource = noetig.ressource AND x.aktion = noetig.aktion))
$$;
CREATE FUNCTION gibt_verwaltung(gefragt text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT EXISTS (
    SELECT FROM recht x WHERE x.rolle_id = gefragt AND x.umfang = 'schule'
      AND (x.ressource, x.aktion) IN (('Konto', 'bearbeiten'), ('Konto', 'sperren'), ('Rolle', 'bearbeiten')))
$$;
CREATE FUNCTION administrator_bleibt() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  betroffen boolean;
BEGIN
  -- First of all: what is judged below must not change until this transaction has ended.
  PERFORM pg_advisory_xact_lock(7284019332);
  CASE tg_table_name
    WHEN 'konto' THEN betroffen := verwaltet(old.id);
    WHEN 'konto_rolle' THEN betroffen := gibt_verwaltung(old.rolle_id);
    WHEN 'rolle' THEN betroffen := gibt_verwaltung(old.id);
    ELSE betroffen := old.umfang = 'schule'
      AND (old.ressource, old.aktion) IN (('Konto', 'bearbeiten'), ('Konto', 'sperren'), ('Rolle', 'bearbeiten'));
  END CASE;
  IF betroffen AND NOT EXISTS (
    SELECT FROM konto k JOIN zugang z ON z.konto_id = k.id
     WHERE k.gesperrt_am IS NULL AND k.geloescht_am IS NULL AND verwaltet(k.id)
       AND (z.einmalig_bis IS NULL
         OR z.einmalig_bis > coalesce(nullif(current_setting('classmind.jetzt', true), '')::timestamptz, now()))) THEN
    RAISE EXCEPTION USING ERRCODE = 'CM001', MESSAGE = 'nobody would be left to manage accounts and roles';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER administrator_bleibt AFTER UPDATE OF gesperrt_am, geloescht_am ON konto
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN (new.gesperrt_am IS NOT NULL AND old.gesperrt_am IS NULL OR new.geloescht_am IS NOT NULL AND old.geloescht_am IS NULL)
  EXECUTE FUNCTION administrator_bleibt();
CREATE CONSTRAINT TRIGGER administrator_bleibt AFTER DELETE ON konto_rolle
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION administrator_bleibt();
CREATE CONSTRAINT TRIGGER administrator_bleibt AFTER DELETE OR UPDATE OF umfang ON recht
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION administrator_bleibt();
CREATE CONSTRAINT TRIGGER administrator_bleibt AFTER UPDATE OF aktiv ON rolle
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (old.aktiv AND NOT new.aktiv) EXECUTE FUNCTION administrator_bleibt();
