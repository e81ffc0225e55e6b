-- Whether somebody could give others access, in any way: who reads their mail box would have it too.
CREATE FUNCTION verfuegt_ueber_konten(gefragt uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT EXISTS (SELECT FROM konto_rolle kr
      JOIN rolle r ON r.id = kr.rolle_id AND r.aktiv
      JOIN recht x ON x.rolle_id = r.id AND x.umfang = 'schule'
     WHERE kr.konto_id = gefragt AND x.aktion <> 'lesen' AND x.ressource IN ('Konto', 'Kontaktdaten', 'Rolle'))
$$;

-- Whoever has forgotten their password gets a code by mail, where the operator configured a relay. The password that there is stays good
-- until the code is used: nobody can take away a colleague's by asking for one.
CREATE TABLE passwortcode (
  konto_id uuid PRIMARY KEY REFERENCES konto ON DELETE CASCADE,
  pruefwert text NOT NULL,
  gueltig_bis timestamptz NOT NULL,
  angefordert_am timestamptz NOT NULL,
  gesendet_am timestamptz,
  gezaehlt_seit timestamptz NOT NULL,
  anzahl integer NOT NULL
);
COMMENT ON TABLE passwortcode IS 'Codes, mit denen ein vergessenes Passwort ersetzt wird';
COMMENT ON COLUMN passwortcode.konto_id IS 'Konto, für das der Code gilt';
COMMENT ON COLUMN passwortcode.pruefwert IS 'Erkennen des Codes, aus dem er selbst nicht hervorgeht';
COMMENT ON COLUMN passwortcode.gueltig_bis IS 'Ende der Gültigkeit';
COMMENT ON COLUMN passwortcode.angefordert_am IS 'Zeitpunkt der Anforderung, damit nicht zwei Codes auf einmal verschickt werden';
COMMENT ON COLUMN passwortcode.gesendet_am IS 'Zeitpunkt des Versands, damit niemand mit E-Mails überschüttet wird';
COMMENT ON COLUMN passwortcode.gezaehlt_seit IS 'Beginn des Tages, für den gezählt wird';
COMMENT ON COLUMN passwortcode.anzahl IS 'Zahl der Codes an diesem Tag, damit es nicht zu viele werden';
-- Nobody reads it but through the functions below.
ALTER TABLE passwortcode ENABLE ROW LEVEL SECURITY;

/*
 * Notes a new code for the accounts that a user name or a mail address names, and says where to send it. Nobody gets more than one in five
 * minutes (one in a minute if the last was not sent) and five a day. Accounts that manage the school or other accounts get none: who reads
 * a mail box would else have the school. They are given a new one-time password by their colleagues or the operator.
 */
CREATE FUNCTION passwortcode_anfordern(getippt text, neuer_pruefwert text, jetzt timestamptz, bis timestamptz)
RETURNS TABLE (konto_id uuid, benutzername text, email text)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH gemeint AS (
    SELECT k.id, k.benutzername, k.email FROM konto k
     WHERE getippt <> '' AND k.email <> '' AND (k.benutzername = getippt OR lower(k.email) = lower(getippt))
       AND k.gesperrt_am IS NULL AND k.geloescht_am IS NULL AND NOT verfuegt_ueber_konten(k.id)
     ORDER BY k.benutzername LIMIT 5
  ), notiert AS (
    INSERT INTO passwortcode AS c (konto_id, pruefwert, gueltig_bis, angefordert_am, gezaehlt_seit, anzahl)
    SELECT g.id, neuer_pruefwert, bis, jetzt, jetzt, 1 FROM gemeint g
    ON CONFLICT ON CONSTRAINT passwortcode_pkey DO UPDATE SET pruefwert = excluded.pruefwert, gueltig_bis = excluded.gueltig_bis,
      angefordert_am = jetzt, gesendet_am = NULL,
      gezaehlt_seit = CASE WHEN c.gezaehlt_seit < jetzt - interval '1 day' THEN jetzt ELSE c.gezaehlt_seit END,
      anzahl = CASE WHEN c.gezaehlt_seit < jetzt - interval '1 day' THEN 1 ELSE c.anzahl + 1 END
     WHERE c.angefordert_am <= jetzt - interval '1 minute'
       AND (c.gesendet_am IS NULL OR c.gesendet_am <= jetzt - interval '5 minutes')
       AND (c.anzahl < 5 OR c.gezaehlt_seit < jetzt - interval '1 day')
    RETURNING c.konto_id
  )
  SELECT g.id, g.benutzername, g.email FROM notiert n JOIN gemeint g ON g.id = n.konto_id ORDER BY g.benutzername
$$;
GRANT EXECUTE ON FUNCTION passwortcode_anfordern(text, text, timestamptz, timestamptz) TO school_app;

CREATE FUNCTION passwortcode_gesendet(wessen uuid, welcher text, jetzt timestamptz) RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  UPDATE passwortcode SET gesendet_am = jetzt WHERE konto_id = wessen AND pruefwert = welcher
$$;
GRANT EXECUTE ON FUNCTION passwortcode_gesendet(uuid, text, timestamptz) TO school_app;

-- What is needed to check a code, and the names that a new password must not hold.
CREATE FUNCTION passwortcode_von(name text, jetzt timestamptz)
RETURNS TABLE (konto_id uuid, pruefwert text, benutzername text, vorname text, nachname text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT k.id, c.pruefwert, k.benutzername, k.vorname, k.nachname
    FROM konto k JOIN passwortcode c ON c.konto_id = k.id
   WHERE k.benutzername = name AND c.gueltig_bis > jetzt
     AND k.gesperrt_am IS NULL AND k.geloescht_am IS NULL AND NOT verfuegt_ueber_konten(k.id)
$$;
GRANT EXECUTE ON FUNCTION passwortcode_von(text, timestamptz) TO school_app;

-- Uses a code up: it counts once, and only while the account may sign in. All sessions end.
CREATE FUNCTION passwort_mit_code(wessen uuid, welcher text, neu text, jetzt timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  -- Held, so that a lock that is set meanwhile is seen.
  PERFORM FROM konto k WHERE k.id = wessen AND k.gesperrt_am IS NULL AND k.geloescht_am IS NULL FOR UPDATE;
  IF NOT FOUND OR verfuegt_ueber_konten(wessen) THEN
    RETURN false;
  END IF;
  DELETE FROM passwortcode c WHERE c.konto_id = wessen AND c.pruefwert = welcher AND c.gueltig_bis > jetzt;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  INSERT INTO zugang (konto_id, passwort, einmalig_bis, geaendert_am) VALUES (wessen, neu, NULL, jetzt)
  ON CONFLICT (konto_id) DO UPDATE SET passwort = excluded.passwort, einmalig_bis = NULL, geaendert_am = excluded.geaendert_am,
    vorgang = NULL;
  DELETE FROM sitzung s WHERE s.konto_id = wessen;
  RETURN true;
END $$;
GRANT EXECUTE ON FUNCTION passwort_mit_code(uuid, text, text, timestamptz) TO school_app;

-- Codes that nobody used. The counts of a day go with them.
CREATE FUNCTION passwortcodes_aufraeumen(jetzt timestamptz) RETURNS integer
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH weg AS (DELETE FROM passwortcode c WHERE c.gueltig_bis < least(jetzt, now()) AND c.gezaehlt_seit < least(jetzt, now()) - interval '1 day' RETURNING 1)
  SELECT count(*)::integer FROM weg
$$;
GRANT EXECUTE ON FUNCTION passwortcodes_aufraeumen(timestamptz) TO school_app;
