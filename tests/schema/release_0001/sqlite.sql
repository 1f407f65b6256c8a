drop trigger if exists jobs_moves
--
create trigger jobs_moves before update of state on jobs
when old.state <> new.state and ((72340172418313670 >> (8 * old.state + new.state)) & 1) = 0
begin select raise(abort, 'illegal job state move'); end
--
drop trigger if exists jobs_counts
--
create trigger jobs_counts after update of state on jobs when old.state <> new.state
begin
  update batch_counts set jobs = jobs - 1 where batch_id = old.batch_id
    and provider = old.provider and model = old.model and state = old.state;
  insert into batch_counts (batch_id, provider, model, state, jobs)
    values (new.batch_id, new.provider, new.model, new.state, 1)
    on conflict (batch_id, provider, model, state) do update set jobs = batch_counts.jobs + 1;
end
--
drop trigger if exists attempts_rollup
--
create trigger attempts_rollup after update on attempts when new.outcome <> 0
begin
  insert into usage_hourly select substr(old.started_at, 1, 13) || ':00:00.000Z' as hour_at, old.batch_id, old.provider, old.model, old.outcome, coalesce(old.error_kind, '') as error_kind, -1 as calls, -1 * (case when old.cost_micros is null then 1 else 0 end) as unpriced_calls, -1 * coalesce(old.input_tokens, 0) as input_tokens, -1 * coalesce(old.output_tokens, 0) as output_tokens, -1 * coalesce(old.cost_micros, 0) as cost_micros where old.outcome <> 0
    on conflict (hour_at, batch_id, provider, model, outcome, error_kind) do update set calls = usage_hourly.calls + excluded.calls, unpriced_calls = usage_hourly.unpriced_calls + excluded.unpriced_calls, input_tokens = usage_hourly.input_tokens + excluded.input_tokens, output_tokens = usage_hourly.output_tokens + excluded.output_tokens, cost_micros = usage_hourly.cost_micros + excluded.cost_micros;
  insert into usage_hourly select substr(new.started_at, 1, 13) || ':00:00.000Z' as hour_at, new.batch_id, new.provider, new.model, new.outcome, coalesce(new.error_kind, '') as error_kind, 1 as calls, 1 * (case when new.cost_micros is null then 1 else 0 end) as unpriced_calls, 1 * coalesce(new.input_tokens, 0) as input_tokens, 1 * coalesce(new.output_tokens, 0) as output_tokens, 1 * coalesce(new.cost_micros, 0) as cost_micros where true
    on conflict (hour_at, batch_id, provider, model, outcome, error_kind) do update set calls = usage_hourly.calls + excluded.calls, unpriced_calls = usage_hourly.unpriced_calls + excluded.unpriced_calls, input_tokens = usage_hourly.input_tokens + excluded.input_tokens, output_tokens = usage_hourly.output_tokens + excluded.output_tokens, cost_micros = usage_hourly.cost_micros + excluded.cost_micros;
  insert into latency_daily select substr(new.started_at, 1, 10) || 'T00:00:00.000Z', new.provider, new.model,
      case when new.latency_ms < 100 then new.latency_ms when new.latency_ms < 1000 then new.latency_ms / 10 * 10 when new.latency_ms < 10000 then new.latency_ms / 100 * 100 when new.latency_ms < 100000 then new.latency_ms / 1000 * 1000 when new.latency_ms < 1000000 then new.latency_ms / 10000 * 10000 when new.latency_ms < 10000000 then new.latency_ms / 100000 * 100000 else new.latency_ms / 1000000 * 1000000 end, 1
    where new.outcome = 1 and old.outcome <> 1 and new.latency_ms is not null
    on conflict (day_at, provider, model, latency_ms) do update set calls = latency_daily.calls + 1;
end
