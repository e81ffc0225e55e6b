create table tenants (
  uid uuid primary key,
  slug text not null unique,
  generation bigint not null default 1,
  spec jsonb not null,
  status jsonb not null,
  -- What is being done right now; written step by step, for people to watch.
  progress jsonb not null default '[]',
  phase text not null generated always as (status ->> 'phase') stored,
  -- A repeated request with the same key gets the same school instead of a conflict.
  create_key text unique,
  created_at timestamptz not null default now(),
  deletion_requested_at timestamptz,
  purge_after timestamptz,
  -- When the next attempt is wanted; 'infinity' while one is under way, so that a wish that comes meanwhile shows.
  wake_at timestamptz not null default now(),
  attempts integer not null default 0,
  lease_holder uuid,
  lease_expires timestamptz,
  -- A held school is due again when its lease runs out, any other when it is to be woken.
  due_at timestamptz not null generated always as (coalesce(lease_expires, wake_at)) stored
);
create index tenants_due on tenants (due_at);
create index tenants_phase on tenants (phase, slug);

create table operations (
  id uuid primary key,
  tenant_uid uuid not null references tenants (uid) on delete cascade,
  kind text not null,
  params jsonb not null default '{}',
  state text not null default 'Pending' check (state in ('Pending', 'Running', 'Succeeded', 'Failed')),
  progress jsonb not null default '{}',
  result jsonb,
  error text,
  requested_by text not null,
  created_at timestamptz not null default now(),
  started_at timestamptz,
  finished_at timestamptz
);
create index operations_open on operations (tenant_uid, created_at) where state in ('Pending', 'Running');
create index operations_of_tenant on operations (tenant_uid, created_at desc);

create table backups (
  run_id uuid primary key,
  tenant_uid uuid not null references tenants (uid) on delete cascade,
  trigger text not null check (trigger in ('schedule', 'manual', 'before-restore')),
  state text not null check (state in ('Running', 'Complete', 'Failed', 'Forgotten')),
  database_snapshot text,
  files_snapshot text,
  bytes_added bigint,
  fingerprint jsonb,
  error text,
  started_at timestamptz not null,
  finished_at timestamptz,
  verified_at timestamptz,
  verify_error text
);
create index backups_of_tenant on backups (tenant_uid, started_at desc);

create table operators (
  name text primary key check (name ~ '^[a-z][a-z0-9._-]{0,39}$'),
  -- R46: without a valid privacy instruction there is no access to schools' data.
  instructed_until date,
  created_at timestamptz not null default now(),
  disabled_at timestamptz
);

create table tokens (
  id uuid primary key,
  operator text not null references operators (name),
  label text not null,
  hash bytea not null unique,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  revoked_at timestamptz
);

create table audit (
  sequence bigint primary key,
  at timestamptz not null,
  operator text not null,
  token uuid,
  source text not null,
  action text not null,
  slug text,
  tenant_uid uuid,
  reason text,
  detail jsonb not null default '{}',
  previous_hash bytea not null,
  hash bytea not null
);
create index audit_of_slug on audit (slug, sequence desc);

-- What remains of a school that was purged: that it was, and that its keys are gone.
create table tombstones (
  uid uuid primary key,
  slug text not null,
  created_at timestamptz not null,
  purged_at timestamptz not null,
  keys_destroyed integer not null
);

create table settings (
  name text primary key,
  value jsonb not null,
  updated_at timestamptz not null default now()
);

create function notify_work() returns trigger language plpgsql as $$
begin
  perform pg_notify('classmind_work', '');
  return null;
end $$;
create trigger tenants_created after insert on tenants for each row execute function notify_work();
create trigger tenants_woken after update of spec, wake_at, deletion_requested_at, purge_after on tenants
  for each row when (new.wake_at <= now() and new.lease_holder is null) execute function notify_work();

create function notify_change() returns trigger language plpgsql as $$
begin
  perform pg_notify('classmind_changed', coalesce(new.slug, old.slug));
  return null;
end $$;
create trigger tenants_changed after insert or update of spec, status, progress, deletion_requested_at, purge_after on tenants
  for each row execute function notify_change();
create trigger tenants_gone after delete on tenants for each row execute function notify_change();

-- The audit can only grow.
create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'the audit is append-only';
end $$;
create trigger audit_append_only before update or delete or truncate on audit execute function refuse_change();

-- The API listens for people and is the smaller power of the two: it records wishes and reads results.
do $$
begin
  if exists (select from pg_roles where rolname = 'controlplane_api') then
    grant usage on schema public to controlplane_api;
    grant select on all tables in schema public to controlplane_api;
    grant insert (uid, slug, spec, status, create_key) on tenants to controlplane_api;
    grant update (spec, generation, wake_at, deletion_requested_at, purge_after) on tenants to controlplane_api;
    grant insert (id, tenant_uid, kind, params, requested_by) on operations to controlplane_api;
    grant insert, update on operators to controlplane_api;
    grant insert, update on tokens to controlplane_api;
    grant insert on audit to controlplane_api;
  end if;
end $$;
