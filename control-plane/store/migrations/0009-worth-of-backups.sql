-- What decides which backups stay, and what is known of their repositories.
alter table backups drop constraint backups_state_check;
alter table backups add constraint backups_state_check check (state in ('Running', 'Complete', 'Failed', 'Forgetting', 'Forgotten'));
alter table backups
  -- Kept until then whatever its class says: it was the newest before a restore or an update.
  add column keep_until timestamptz,
  -- What it holds less than the one before, in words; null if nothing, or once an operator has said that this is right.
  add column shrunk text,
  -- Which of the school's repositories it lies in.
  add column repository integer not null default 1,
  -- How far it was read back: 'whole', or a part such as '3/7' of the repository's data.
  add column verified_extent text,
  -- The job's word for what it found; see backup/verdict.ts.
  add column verify_code text;

-- Which repository backups go to, and which were found damaged: those are kept, and a fresh one is begun beside them.
alter table tenants add column repositories jsonb not null default '{}';
