-- Work that takes longer than a request: whose it is, how far it is, what came of it. It is done in steps of one transaction each, which
-- says where to go on; so whoever is killed in the middle leaves it as after the last step, and anybody goes on from there.
CREATE TABLE hintergrundarbeit (
  id uuid PRIMARY KEY,
  art text NOT NULL,
  -- Nobody's: the school's own.
  person_id uuid REFERENCES person ON DELETE CASCADE,
  auftrag bytea NOT NULL CHECK (octet_length(auftrag) <= 4000000),
  angelegt_am timestamptz NOT NULL,
  stand text NOT NULL DEFAULT '' CHECK (length(stand) <= 1000),
  erledigt integer NOT NULL DEFAULT 0 CHECK (erledigt >= 0),
  gesamt integer CHECK (gesamt >= 0),
  versuche integer NOT NULL DEFAULT 0,
  pacht_bis timestamptz,
  zuletzt_am timestamptz,
  beendet_am timestamptz,
  ausgang text CHECK (ausgang IN ('fertig', 'abgelehnt', 'abgebrochen', 'gescheitert')),
  ergebnis bytea,
  CHECK ((beendet_am IS NULL) = (ausgang IS NULL))
);
CREATE INDEX hintergrundarbeit_offen ON hintergrundarbeit (zuletzt_am NULLS FIRST, angelegt_am) WHERE beendet_am IS NULL;
CREATE INDEX hintergrundarbeit_person ON hintergrundarbeit (person_id, angelegt_am, id);
-- Of the school's own work there is one of a kind at a time.
CREATE UNIQUE INDEX hintergrundarbeit_der_schule ON hintergrundarbeit (art) WHERE person_id IS NULL AND beendet_am IS NULL;
COMMENT ON TABLE hintergrundarbeit IS 'Arbeiten, die länger dauern als eine Anfrage, mit ihrem Stand';
COMMENT ON COLUMN hintergrundarbeit.id IS 'Kennzeichen der Arbeit';
COMMENT ON COLUMN hintergrundarbeit.art IS 'Was für eine Arbeit es ist';
COMMENT ON COLUMN hintergrundarbeit.person_id IS 'In wessen Namen sie geschieht; leer: die Schule selbst';
COMMENT ON COLUMN hintergrundarbeit.auftrag IS 'Was zu tun ist (verschlüsselt mit dem Schlüssel der Person)';
COMMENT ON COLUMN hintergrundarbeit.angelegt_am IS 'Zeitpunkt des Auftrags';
COMMENT ON COLUMN hintergrundarbeit.stand IS 'Wo nach dem letzten Schritt weiterzumachen ist';
COMMENT ON COLUMN hintergrundarbeit.erledigt IS 'Wie viel getan ist';
COMMENT ON COLUMN hintergrundarbeit.gesamt IS 'Wie viel es im Ganzen ist, sobald das bekannt ist';
COMMENT ON COLUMN hintergrundarbeit.versuche IS 'Begonnene Schritte seit dem letzten, der gelang';
COMMENT ON COLUMN hintergrundarbeit.pacht_bis IS 'Bis dahin hat sie jemand, oder ruht sie nach einem Fehler';
COMMENT ON COLUMN hintergrundarbeit.zuletzt_am IS 'Beginn des letzten Schritts';
COMMENT ON COLUMN hintergrundarbeit.beendet_am IS 'Zeitpunkt, zu dem sie zu Ende war';
COMMENT ON COLUMN hintergrundarbeit.ausgang IS 'Wie sie endete';
COMMENT ON COLUMN hintergrundarbeit.ergebnis IS 'Was dabei herauskam (verschlüsselt mit dem Schlüssel der Person)';

-- People see their own, begin their own, and may call it off.
ALTER TABLE hintergrundarbeit ENABLE ROW LEVEL SECURITY;
CREATE POLICY hintergrundarbeit_eigene ON hintergrundarbeit TO school_app
  USING (person_id = (SELECT ich())) WITH CHECK (person_id = (SELECT ich()));
GRANT SELECT ON hintergrundarbeit TO school_app;
GRANT INSERT (id, art, person_id, auftrag, angelegt_am) ON hintergrundarbeit TO school_app;
GRANT UPDATE (beendet_am, ausgang) ON hintergrundarbeit TO school_app;

-- The school's own, once at a time.
CREATE FUNCTION arbeit_der_schule(neu uuid, welche text, inhalt bytea, jetzt timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  INSERT INTO hintergrundarbeit (id, art, person_id, auftrag, angelegt_am) VALUES (neu, welche, NULL, inhalt, jetzt)
    ON CONFLICT (art) WHERE person_id IS NULL AND beendet_am IS NULL DO NOTHING;
  RETURN FOUND;
END $$;

-- Takes what waited longest, of the kinds that the caller can do, and counts the attempt before it is made: what ends the process each time
-- is given up some time. The lease lasts longer with each attempt, 41 minutes at most; it is given back by the step. One that ends later than
-- that is of a clock that was set back.
CREATE FUNCTION arbeit_nehmen(arten text[], jetzt timestamptz) RETURNS TABLE (id uuid, art text, stand text, versuche integer)
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  UPDATE hintergrundarbeit h
     SET versuche = h.versuche + 1, zuletzt_am = jetzt, pacht_bis = jetzt + interval '10 seconds' * power(3, least(h.versuche, 5))
   WHERE h.id = (SELECT o.id FROM hintergrundarbeit o
                  WHERE o.beendet_am IS NULL AND o.art = ANY (arten) AND (o.pacht_bis IS NULL OR o.pacht_bis <= jetzt OR o.pacht_bis > jetzt + interval '1 hour')
                  ORDER BY o.zuletzt_am NULLS FIRST, o.angelegt_am LIMIT 1 FOR UPDATE SKIP LOCKED)
  RETURNING h.id, h.art, h.stand, h.versuche
$$;
-- When there is something to take again; null: nothing waits.
CREATE FUNCTION arbeit_wartet(arten text[]) RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT min(coalesce(h.pacht_bis, h.angelegt_am)) FROM hintergrundarbeit h WHERE h.beendet_am IS NULL AND h.art = ANY (arten)
$$;

-- Begins a step: nobody else gets the work until the transaction ends, which from here on acts for whoever gave the order. No row: it is
-- over, somebody else is at it, or it has gone on meanwhile.
CREATE FUNCTION arbeit_schritt(gesucht uuid, erwartet text)
RETURNS TABLE (person_id uuid, auftrag bytea, erledigt integer, gesamt integer, handelt boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  SELECT h.person_id, h.auftrag, h.erledigt, h.gesamt INTO person_id, auftrag, erledigt, gesamt
    FROM hintergrundarbeit h WHERE h.id = gesucht AND h.stand = erwartet AND h.beendet_am IS NULL FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  PERFORM set_config('classmind.arbeit', gesucht::text, true), set_config('classmind.konto', coalesce(person_id::text, ''), true);
  handelt := person_id IS NULL OR EXISTS (SELECT FROM konto k WHERE k.id = person_id AND k.gesperrt_am IS NULL AND k.geloescht_am IS NULL);
  RETURN NEXT;
END $$;
-- Says, in the step's transaction, where to go on; or, with how it ended, that it is over.
CREATE FUNCTION arbeit_weiter(neuer_stand text, getan integer, alles integer, ende text, heraus bytea, jetzt timestamptz) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  UPDATE hintergrundarbeit h
     SET stand = neuer_stand, erledigt = getan, gesamt = alles, versuche = 0, pacht_bis = NULL,
         ausgang = ende, beendet_am = CASE WHEN ende IS NULL THEN NULL ELSE jetzt END, ergebnis = heraus,
         -- What was to be done is nobody's business any more.
         auftrag = CASE WHEN ende IS NULL THEN h.auftrag ELSE '' END
   WHERE h.id = nullif(current_setting('classmind.arbeit', true), '')::uuid AND h.beendet_am IS NULL;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'no step of this work has begun';
  END IF;
END $$;
-- What is long over goes.
CREATE FUNCTION arbeiten_abraeumen(vor timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  anzahl integer;
BEGIN
  DELETE FROM hintergrundarbeit h WHERE h.beendet_am < vor;
  GET DIAGNOSTICS anzahl = ROW_COUNT;
  RETURN anzahl;
END $$;
GRANT EXECUTE ON FUNCTION arbeit_der_schule(uuid, text, bytea, timestamptz), arbeit_nehmen(text[], timestamptz), arbeit_wartet(text[]),
  arbeit_schritt(uuid, text), arbeit_weiter(text, integer, integer, text, bytea, timestamptz), arbeiten_abraeumen(timestamptz) TO school_app;
