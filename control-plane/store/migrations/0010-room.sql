-- How much room an engine's storage has, where it can tell; looked at now and then.
alter table engines add column room jsonb;
