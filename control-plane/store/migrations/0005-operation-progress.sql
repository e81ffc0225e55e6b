-- Who watches a school also sees how far its long work has come.
create function notify_operation() returns trigger language plpgsql as $$
begin
  perform pg_notify('classmind_changed', slug) from tenants where uid = new.tenant_uid;
  return null;
end $$;
create trigger operations_progress after update of progress, state on operations
  for each row when (new.progress is distinct from old.progress or new.state is distinct from old.state)
  execute function notify_operation();
