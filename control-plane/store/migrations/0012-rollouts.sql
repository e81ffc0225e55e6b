-- A new version of the images reaches the schools of an engine a few at a time; see reconcile/rollout.ts.
create table rollouts (
  number bigint primary key generated always as identity,
  engine text not null references engines (name) on delete cascade,
  -- References of the two images, { app, postgres }: where it leads, and where it goes back to.
  version jsonb not null,
  previous jsonb,
  state text not null check (state in ('Running', 'Paused', 'Halted', 'Complete', 'Undoing', 'Undone', 'Superseded')),
  -- The one that holds for its engine now; the others are history.
  current boolean not null default true,
  -- The first schools stayed well with it, or an operator said that it is good.
  proven boolean not null default false,
  -- How many schools stayed well with it while it was not proven.
  well integer not null default 0,
  -- Raised when an operator lets a halted rollout go on: what failed in an earlier round is tried again.
  round integer not null default 1,
  reason text,
  started_at timestamptz not null default now(),
  changed_at timestamptz not null default now()
);
create unique index rollouts_current on rollouts (engine) where current;

alter table tenants
  -- Which images a school was given, and on which engine: { engine, app, postgres }. It runs no others. Null until its first attempt.
  add column version jsonb,
  -- How a school does that was given another version a moment ago; see reconcile/trial.ts.
  add column trial jsonb,
  -- An operator keeps it on its version: { operator, at, reason }.
  add column pin jsonb,
  add column version_key text generated always as ((version ->> 'app') || ' ' || (version ->> 'postgres')) stored;
create index tenants_version on tenants (engine, version_key);
create index tenants_trial on tenants (engine) where trial is not null;

create trigger rollouts_changed after insert or update of state, proven, round on rollouts
  for each row execute function notify_work();
-- It is part of what every school on the engine shows: no name stands for all of them.
create function notify_rollout() returns trigger language plpgsql as $$
begin
  perform pg_notify('classmind_changed', '');
  return null;
end $$;
create trigger rollouts_shown after insert or update of state on rollouts
  for each row execute function notify_rollout();
create trigger tenants_version_changed after update of version, pin on tenants
  for each row execute function notify_change();
create trigger tenants_pinned after update of pin on tenants
  for each row execute function notify_work();

do $$
begin
  if exists (select from pg_roles where rolname = 'controlplane_api') then
    grant select on rollouts to controlplane_api;
    grant update (state, proven, well, round, reason, changed_at) on rollouts to controlplane_api;
    grant update (pin) on tenants to controlplane_api;
  end if;
end $$;
