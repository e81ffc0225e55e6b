-- Long work goes on while attempts come and go: the process that does it holds the school, and says so.
alter table tenants
  -- Held for long work alone: a wake-up is for an attempt of the holder's, which need not wait for the work.
  add column working boolean not null default false,
  -- Written by the work that furnishes a school, beside attempts: not part of what an attempt writes whole.
  add column initialised_at timestamptz,
  add column administrator jsonb,
  -- Which volumes are the school's, and by what identity; see store/volumes.ts.
  add column volumes jsonb not null default '{}',
  -- When the status was last compared with what is.
  add column observed_at timestamptz;
update tenants set initialised_at = (status ->> 'initialisedAt')::timestamptz, administrator = status -> 'administrator';

alter table tenants drop column due_at;
-- A held school is due again when its lease runs out; one that is held for long work, for its holder, when it is to be woken.
alter table tenants add column due_at timestamptz not null
  generated always as (case when lease_expires is null then wake_at when working then least(wake_at, lease_expires) else lease_expires end) stored;
create index tenants_due on tenants (due_at);
create index tenants_working on tenants (uid) where working;

drop trigger tenants_woken on tenants;
create trigger tenants_woken after update of spec, wake_at, deletion_requested_at, purge_after, working on tenants
  for each row when (new.wake_at <= now() and (new.lease_holder is null or new.working)) execute function notify_work();

alter table operations drop constraint operations_state_check;
alter table operations add constraint operations_state_check check (state in ('Pending', 'Running', 'Succeeded', 'Failed', 'Cancelled'));
alter table operations
  -- An operator, or what became of the school meanwhile, wants it ended.
  add column cancel_reason text,
  -- What the work has taken charge of, so that attempts leave it alone; see reconcile/operations/holds.ts.
  add column holds jsonb not null default '{}',
  -- When it is given up if it has not ended.
  add column deadline_at timestamptz;

alter table backups add column size jsonb;

do $$
begin
  if exists (select from pg_roles where rolname = 'controlplane_api') then
    grant insert (deadline_at) on operations to controlplane_api;
    grant update (cancel_reason) on operations to controlplane_api;
  end if;
end $$;
