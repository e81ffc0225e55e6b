-- What came beside the erasure of people: lists that somebody uploaded and by what they are known again in them, files of theirs that were taken
-- down, codes for a new password.
CREATE FUNCTION einlesungen_der_person_loeschen(wer uuid) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  listen integer;
  kennungen integer;
  weitere integer;
BEGIN
  PERFORM loeschwahl(wer);
  DELETE FROM einlesung e WHERE e.person_id = wer;
  GET DIAGNOSTICS listen = ROW_COUNT;
  DELETE FROM fremde_kennung f WHERE f.person_id = wer;
  GET DIAGNOSTICS kennungen = ROW_COUNT;
  DELETE FROM eingelesene_person p WHERE p.person_id = wer;
  GET DIAGNOSTICS weitere = ROW_COUNT;
  RETURN zaehlung('hochgeladene_listen', listen::text, 'kennungen', (kennungen + weitere)::text);
END $$;
CREATE FUNCTION entfernungen_der_person_loeschen(wer uuid) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  hinweise integer;
BEGIN
  PERFORM loeschwahl(wer);
  DELETE FROM datei_entfernung d WHERE d.besitzer_id = wer;
  GET DIAGNOSTICS hinweise = ROW_COUNT;
  RETURN zaehlung('hinweise_auf_entfernte_dateien', hinweise::text);
END $$;
CREATE FUNCTION passwortcodes_der_person_loeschen(wer uuid) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  codes integer;
BEGIN
  PERFORM loeschwahl(wer);
  DELETE FROM passwortcode c WHERE c.konto_id = wer;
  GET DIAGNOSTICS codes = ROW_COUNT;
  RETURN zaehlung('passwortcodes', codes::text);
END $$;
REVOKE EXECUTE ON FUNCTION einlesungen_der_person_loeschen(uuid), entfernungen_der_person_loeschen(uuid),
  passwortcodes_der_person_loeschen(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION einlesungen_der_person_loeschen(uuid), entfernungen_der_person_loeschen(uuid),
  passwortcodes_der_person_loeschen(uuid) TO school_app;
