-- A purge before the end of the grace period takes a second operator's word (platform.purge).
alter table tenants
  -- Who asked for it first, when and why.
  add column purge_request jsonb,
  -- An operator's word that the last backup need not be read back before the keys go.
  add column purge_unverified boolean not null default false;

do $$
begin
  if exists (select from pg_roles where rolname = 'controlplane_api') then
    grant update (purge_request, purge_unverified) on tenants to controlplane_api;
  end if;
end $$;
