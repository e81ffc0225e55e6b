-- An operator's word that the clock is right although it is far from the last time seen. The API may only add to it; the
-- reconciler, which alone records the time, takes note.
create table clock_confirmations (
  id bigint primary key generated always as identity,
  -- The last time seen that the clock is far from; a later jump needs a word of its own.
  last_seen timestamptz not null,
  confirmed_time timestamptz not null,
  operator text not null,
  reason text not null
);
create index clock_confirmations_of_jump on clock_confirmations (last_seen, id desc);

do $$
begin
  if exists (select from pg_roles where rolname = 'controlplane_api') then
    grant select on clock_confirmations to controlplane_api;
    grant insert (last_seen, confirmed_time, operator, reason) on clock_confirmations to controlplane_api;
  end if;
end $$;
