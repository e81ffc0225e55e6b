-- What a token opens: all that its operator may do, or the metrics and nothing else (for a program that collects them).
alter table tokens
  add column scope text not null default 'operator' check (scope in ('operator', 'metrics'));
