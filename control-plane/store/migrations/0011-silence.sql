-- Since when an engine does not answer, and in what words; null while it does.
alter table engines add column silence jsonb;
