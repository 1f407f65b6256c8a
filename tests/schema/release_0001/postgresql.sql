create or replace function jobs_moves() returns trigger language plpgsql as $$
begin
  raise exception 'illegal job state move % -> % of job %', old.state, new.state, old.id
    using errcode = 'check_violation';
end $$
--
create or replace trigger jobs_moves before update of state on jobs for each row
when (old.state <> new.state
  and ((72340172418313670::bigint >> (8 * old.state + new.state)::int) & 1) = 0)
execute function jobs_moves()
--
create or replace function jobs_counts() returns trigger language plpgsql as $$
begin
  insert into batch_counts as c (batch_id, provider, model, state, jobs)
  select batch_id, provider, model, state, sum(n) from (
    select batch_id, provider, model, state, -1 as n from old_rows union all
    select batch_id, provider, model, state, 1 as n from new_rows) moved
  group by batch_id, provider, model, state having sum(n) <> 0 order by batch_id, provider, model, state
  on conflict (batch_id, provider, model, state) do update set jobs = c.jobs + excluded.jobs;
  return null;
end $$
--
create or replace trigger jobs_counts after update on jobs
referencing old table as old_rows new table as new_rows
for each statement execute function jobs_counts()
--
create or replace function attempts_rollup() returns trigger language plpgsql as $$
begin
  insert into usage_hourly as u (hour_at, batch_id, provider, model, outcome, error_kind, calls, unpriced_calls, input_tokens, output_tokens, cost_micros)
  select hour_at, batch_id, provider, model, outcome, error_kind, sum(calls), sum(unpriced_calls), sum(input_tokens), sum(output_tokens), sum(cost_micros) from (
    select date_trunc('hour', o.started_at, 'UTC') as hour_at, o.batch_id, o.provider, o.model, o.outcome, coalesce(o.error_kind, '') as error_kind, -1 as calls, -1 * (case when o.cost_micros is null then 1 else 0 end) as unpriced_calls, -1 * coalesce(o.input_tokens, 0) as input_tokens, -1 * coalesce(o.output_tokens, 0) as output_tokens, -1 * coalesce(o.cost_micros, 0) as cost_micros from old_rows o where o.outcome <> 0 union all
    select date_trunc('hour', n.started_at, 'UTC') as hour_at, n.batch_id, n.provider, n.model, n.outcome, coalesce(n.error_kind, '') as error_kind, 1 as calls, 1 * (case when n.cost_micros is null then 1 else 0 end) as unpriced_calls, 1 * coalesce(n.input_tokens, 0) as input_tokens, 1 * coalesce(n.output_tokens, 0) as output_tokens, 1 * coalesce(n.cost_micros, 0) as cost_micros from new_rows n where n.outcome <> 0) moved
  group by hour_at, batch_id, provider, model, outcome, error_kind order by hour_at, batch_id, provider, model, outcome, error_kind
  on conflict (hour_at, batch_id, provider, model, outcome, error_kind) do update set calls = u.calls + excluded.calls, unpriced_calls = u.unpriced_calls + excluded.unpriced_calls, input_tokens = u.input_tokens + excluded.input_tokens, output_tokens = u.output_tokens + excluded.output_tokens, cost_micros = u.cost_micros + excluded.cost_micros;
  insert into latency_daily as l (day_at, provider, model, latency_ms, calls)
  select date_trunc('day', n.started_at, 'UTC'), n.provider, n.model,
    case when n.latency_ms < 100 then n.latency_ms when n.latency_ms < 1000 then n.latency_ms / 10 * 10 when n.latency_ms < 10000 then n.latency_ms / 100 * 100 when n.latency_ms < 100000 then n.latency_ms / 1000 * 1000 when n.latency_ms < 1000000 then n.latency_ms / 10000 * 10000 when n.latency_ms < 10000000 then n.latency_ms / 100000 * 100000 else n.latency_ms / 1000000 * 1000000 end, count(*)
  from new_rows n join old_rows o on o.job_id = n.job_id and o.fence = n.fence
  where n.outcome = 1 and o.outcome <> 1 and n.latency_ms is not null
  group by 1, 2, 3, 4 order by 1, 2, 3, 4
  on conflict (day_at, provider, model, latency_ms) do update set calls = l.calls + excluded.calls;
  return null;
end $$
--
create or replace trigger attempts_rollup after update on attempts
referencing old table as old_rows new table as new_rows
for each statement execute function attempts_rollup()
