-- Where schools live: the reconciler writes what it is configured with, and what it found when it looked at each.
create table engines (
  name text primary key check (name ~ '^[a-z][a-z0-9-]{0,39}$'),
  kind text not null,
  -- R62: a school that has to stay in a country is placed there.
  country text not null check (country ~ '^[A-Z]{2}$'),
  labels jsonb not null default '{}',
  -- Most schools it takes; null: no limit.
  capacity integer check (capacity > 0),
  -- Where it differs from the platform's configuration. No secrets.
  settings jsonb not null default '{}',
  -- An operator keeps new schools away.
  cordoned boolean not null default false,
  -- Not in the reconciler's configuration any more.
  retired_at timestamptz,
  findings jsonb not null default '[]',
  -- Last looked at, and last tried out with what a school consists of.
  looked_at timestamptz,
  tried_at timestamptz,
  check_requested_at timestamptz
);

-- By name and with a reason an administrator takes a failed check upon themselves.
create table engine_overrides (
  engine text not null references engines (name) on delete cascade,
  check_name text not null,
  operator text not null,
  reason text not null,
  created_at timestamptz not null default now(),
  primary key (engine, check_name)
);

-- Null only until the reconciler that makes this change has registered its engines.
alter table tenants add column engine text references engines (name);
create index tenants_engine on tenants (engine);

create function notify_check() returns trigger language plpgsql as $$
begin
  perform pg_notify('classmind_work', '');
  return null;
end $$;
create trigger engines_check_requested after update of check_requested_at on engines
  for each row execute function notify_check();

do $$
begin
  if exists (select from pg_roles where rolname = 'controlplane_api') then
    grant select on engines, engine_overrides to controlplane_api;
    grant update (cordoned, check_requested_at) on engines to controlplane_api;
    grant insert, delete on engine_overrides to controlplane_api;
    grant insert (engine) on tenants to controlplane_api;
  end if;
end $$;
