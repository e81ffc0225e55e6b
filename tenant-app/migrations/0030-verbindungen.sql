-- Connection data (R53): browser, operating system, kind of device, address and time, to know what the platform must work with and whether
-- it is attacked. Nothing joins them to a person (R56): no row has an id, a session or a path; many are written at once, in no order, with
-- the same hour, which is the one in which the first of them came. So whoever compares hours, or the order of rows and transactions, with
-- sessions or the journal finds for each session at least ten rows, of as many different devices, that fit no better than each other.
CREATE TABLE verbindung (
  browser text NOT NULL CHECK (browser IN ('Firefox', 'Chrome', 'Safari', 'Edge', 'andere')),
  betriebssystem text NOT NULL CHECK (betriebssystem IN ('Windows', 'macOS', 'Linux', 'Android', 'iOS', 'andere')),
  geraetetyp text NOT NULL CHECK (geraetetyp IN ('PC', 'Tablet', 'Smartphone', 'andere')),
  ip_adresse inet NOT NULL,
  zeit timestamptz NOT NULL CHECK (zeit = date_trunc('hour', zeit, 'UTC'))
);
COMMENT ON TABLE verbindung IS 'Verbindungsdaten, ohne Bezug zu Personen; sie werden nach spätestens 30 Tagen gelöscht';
COMMENT ON COLUMN verbindung.browser IS 'Welcher Browser: für Statistik und Entwicklung';
COMMENT ON COLUMN verbindung.betriebssystem IS 'Welches Betriebssystem: für Statistik und Entwicklung';
COMMENT ON COLUMN verbindung.geraetetyp IS 'PC, Tablet oder Smartphone: für Statistik und Entwicklung';
COMMENT ON COLUMN verbindung.ip_adresse IS 'Woher die Verbindung kam: um Angriffe zu erkennen';
COMMENT ON COLUMN verbindung.zeit IS 'Zeitstempel, auf die Stunde gerundet, für viele Verbindungen derselbe';
ALTER TABLE verbindung ENABLE ROW LEVEL SECURITY;
-- The app adds rows and reads none.
CREATE POLICY verbindung_merken ON verbindung FOR INSERT TO school_app WITH CHECK (true);
GRANT INSERT ON verbindung TO school_app;

-- How many there are since a time, so that no flood fills the volume.
CREATE FUNCTION verbindungen_seit(ab timestamptz) RETURNS integer
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT count(*)::int FROM verbindung v WHERE v.zeit >= ab
$$;
-- Not earlier by an app whose clock is ahead.
CREATE FUNCTION verbindungen_abraeumen(vor timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  anzahl integer;
BEGIN
  DELETE FROM verbindung v WHERE v.zeit < least(vor, now() - interval '29 days');
  GET DIAGNOSTICS anzahl = ROW_COUNT;
  RETURN anzahl;
END $$;

-- Aggregates alone (R55), of one field at a time and never of an address. A group of fewer than ten is not told of: small ones are put
-- together, with the next larger one if they are still too few together; what is left of nothing else is left out.
CREATE FUNCTION verbindungsstatistik() RETURNS TABLE (angabe text, wert text, anzahl integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH zelle AS (
    SELECT a.angabe, a.wert, count(*)::int AS n
      FROM verbindung v
     CROSS JOIN LATERAL (VALUES ('Browser', v.browser), ('Betriebssystem', v.betriebssystem), ('Gerätetyp', v.geraetetyp)) AS a (angabe, wert)
     GROUP BY a.angabe, a.wert
  ), gereiht AS (
    SELECT z.*, coalesce(sum(z.n) OVER (PARTITION BY z.angabe ORDER BY z.n, z.wert ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS kleinere
      FROM zelle z
  )
  SELECT g.angabe, CASE WHEN g.n < 10 OR g.kleinere BETWEEN 1 AND 9 THEN 'übrige' ELSE g.wert END, sum(g.n)::int
    FROM gereiht g GROUP BY 1, 2 HAVING sum(g.n) >= 10 ORDER BY 1, 3 DESC, 2
$$;
REVOKE EXECUTE ON FUNCTION verbindungen_seit(timestamptz), verbindungen_abraeumen(timestamptz), verbindungsstatistik() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION verbindungen_seit(timestamptz), verbindungen_abraeumen(timestamptz), verbindungsstatistik() TO school_app;
