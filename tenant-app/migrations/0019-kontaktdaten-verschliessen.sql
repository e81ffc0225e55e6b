-- Contact data that an earlier version sealed with the school's key are sealed with the person's, by work of the school's own that acts for
-- nobody: these are its ways to them. It begins a week after this version came, for until then the one before may come back.
CREATE FUNCTION alte_kontaktdaten_da(jetzt timestamptz) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT EXISTS (SELECT FROM kontaktdaten k WHERE k.verschlossen_am IS DISTINCT FROM k.geaendert_am
                   AND num_nonnulls(k.telefon, k.mobil, k.anschrift) > 0)
     AND EXISTS (SELECT FROM schema_migration m WHERE m.nummer = 19 AND m.am < jetzt - interval '7 days')
$$;
CREATE FUNCTION alte_kontaktdaten(nach uuid, hoechstens integer)
RETURNS TABLE (konto_id uuid, telefon bytea, mobil bytea, anschrift bytea, geaendert_am timestamptz)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF nullif(current_setting('classmind.arbeit', true), '') IS NULL THEN
    RAISE insufficient_privilege USING MESSAGE = 'only within background work';
  END IF;
  -- Locked: what is changed meanwhile is not overwritten.
  RETURN QUERY SELECT k.konto_id, k.telefon, k.mobil, k.anschrift, k.geaendert_am FROM kontaktdaten k
    WHERE (nach IS NULL OR k.konto_id > nach) AND k.verschlossen_am IS DISTINCT FROM k.geaendert_am
      AND num_nonnulls(k.telefon, k.mobil, k.anschrift) > 0
    ORDER BY k.konto_id LIMIT hoechstens FOR UPDATE;
END $$;
CREATE FUNCTION kontaktdaten_verschliessen(wessen uuid, neues_telefon bytea, neues_mobil bytea, neue_anschrift bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF nullif(current_setting('classmind.arbeit', true), '') IS NULL THEN
    RAISE insufficient_privilege USING MESSAGE = 'only within background work';
  END IF;
  UPDATE kontaktdaten k SET telefon = NULL, mobil = NULL, anschrift = NULL, verschlossen_am = k.geaendert_am,
      telefon_verschlossen = neues_telefon, mobil_verschlossen = neues_mobil, anschrift_verschlossen = neue_anschrift
    WHERE k.konto_id = wessen AND k.verschlossen_am IS DISTINCT FROM k.geaendert_am;
END $$;
GRANT EXECUTE ON FUNCTION alte_kontaktdaten_da(timestamptz), alte_kontaktdaten(uuid, integer),
  kontaktdaten_verschliessen(uuid, bytea, bytea, bytea) TO school_app;

-- Keys are kept for somebody who acts, or within such work.
CREATE OR REPLACE FUNCTION schluessel.hinterlegen(wer uuid, name uuid, neu bytea, jetzt timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF session_user = 'school_app' AND nullif(current_setting('classmind.konto', true), '') IS NULL
     AND nullif(current_setting('classmind.arbeit', true), '') IS NULL THEN
    RAISE insufficient_privilege USING MESSAGE = 'nobody acts';
  END IF;
  PERFORM pg_advisory_xact_lock_shared(7284019333);
  PERFORM pg_advisory_xact_lock(7284019, hashtext(wer::text));
  IF EXISTS (SELECT FROM schluessel.vernichtet v WHERE v.person_id = wer) THEN
    RAISE EXCEPTION USING ERRCODE = 'CM003', MESSAGE = 'the key of this person was destroyed';
  END IF;
  INSERT INTO schluessel.person (person_id, kennung, verpackt, seit)
    SELECT wer, name, neu, jetzt WHERE NOT EXISTS (SELECT FROM schluessel.person p WHERE p.person_id = wer);
END $$;
