-- Names of roles that speak to everybody in the same way. Those that a school has renamed itself stay.
UPDATE rolle SET name = neu.name
  FROM (VALUES ('lehrer', 'Lehrer', 'Lehrkraft'), ('schueler', 'Schüler', 'Schülerschaft'), ('administrator', 'Administrator', 'Administration'))
    AS neu (id, alt, name)
 WHERE rolle.id = neu.id AND rolle.ausgeliefert AND rolle.name = neu.alt
   AND NOT EXISTS (SELECT FROM rolle andere WHERE andere.name = neu.name);
