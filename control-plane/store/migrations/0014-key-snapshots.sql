-- Keys of a school's people lie in snapshots of their own, which are kept for 30 days only: who destroys a key makes what it sealed unreadable
-- in every backup within that time. Of each school the newest is kept, and any restore uses that.
create table key_snapshots (
  number bigint generated always as identity primary key,
  tenant_uid uuid not null references tenants (uid) on delete cascade,
  run_id uuid not null,
  snapshot text not null,
  repository integer not null,
  taken_at timestamptz not null
);
create index key_snapshots_of_tenant on key_snapshots (tenant_uid, number desc);
