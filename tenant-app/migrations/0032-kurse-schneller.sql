-- Who takes part in a course, and in which courses somebody takes part, from the index alone: the planner took the one that keeps periods from
-- overlapping for it, which reads a hundred pages for what stands in one.
CREATE INDEX einschreibung_im_kurs ON einschreibung (kurs_id) INCLUDE (id, person_id, gueltig);
CREATE INDEX einschreibung_der_person ON einschreibung (person_id) INCLUDE (id, kurs_id, gueltig);
DROP INDEX einschreibung_kurs;
