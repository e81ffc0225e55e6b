-- What stays the same as long as an engine's name leads to the same cluster.
alter table engines add column identity text;
