-- A school that was moved leaves its stopped copy on the engine it came from, until an operator confirms the move.
alter table tenants add column left_engine text references engines (name);
