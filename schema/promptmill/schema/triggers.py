"""What SQL does by itself: refuse illegal moves, keep the counters, keep the rollups.

Done by triggers so that it holds for every writer, also for a person with a SQL prompt. SQLite
counts row by row; PostgreSQL once a statement, from the transition tables, in a fixed row order.
"""

from promptmill.schema.states import LEGAL_MOVES

TRIGGERS = (
    "attempts_rollup",
    "embedder_rollup",
    "jobs_counts",
    "jobs_moves",
    "jobs_replayed",
    "spending_carried",
)
_LEGAL = sum(1 << (8 * old + new) for old, news in LEGAL_MOVES.items() for new in news)
_MASK = _LEGAL - (1 << 64) if _LEGAL >= 1 << 63 else _LEGAL
"""Bit 8*old+new is set where the move is legal, as a signed 64-bit number."""

_COUNT_KEY = "batch_id, provider, model, state"
_HOUR_KEY = "hour_at, batch_id, provider, model, outcome, error_kind"
_HOUR_SUMS = ("calls", "unpriced_calls", "input_tokens", "output_tokens", "cost_micros")
_SPENT_SUMS = ("spent_micros", "reserved_micros", "unknown_micros")
_DAY_KEY = "batch_id, day_at, provider, model, latency_ms"
_FIRST_KEY = "batch_id, day_at, provider, model, first_token_ms"


def trigger_statements(dialect: str) -> list[str]:
    """All statements that (re)create the triggers on *dialect*; each may be run again."""
    return _sqlite() if dialect == "sqlite" else _postgresql()


def _two_digits(column: str) -> str:
    """Round a whole number of milliseconds down to two significant digits."""
    steps = " ".join(
        f"when {column} < {10 ** (n + 1)} then {column} / {10 ** (n - 1)} * {10 ** (n - 1)}"
        for n in range(2, 7)
    )
    return f"case when {column} < 100 then {column} {steps} else {column} / 1000000 * 1000000 end"


def _hour_row(row: str, sign: int, hour: str) -> str:
    return (
        f"select {hour} as hour_at, {row}.batch_id, {row}.provider, {row}.model, {row}.outcome,"
        f" coalesce({row}.error_kind, '') as error_kind, {sign} as calls,"
        f" {sign} * (case when {row}.cost_micros is null then 1 else 0 end) as unpriced_calls,"
        f" {sign} * coalesce({row}.input_tokens, 0) as input_tokens,"
        f" {sign} * coalesce({row}.output_tokens, 0) as output_tokens,"
        f" {sign} * coalesce({row}.cost_micros, 0) as cost_micros"
    )


def _spent_row(row: str, sign: int) -> str:
    """Say what a call takes of a budget: reserved, then spent, or unknown."""
    lost = (
        f"({row}.outcome in (1, 3, 5) or {row}.outcome = 2 and {row}.error_kind = 'bad_response')"
    )
    return (
        f"select {row}.batch_id, {sign} * coalesce({row}.cost_micros, 0) as spent_micros,"
        f" case when {row}.outcome = 0 then {sign} * coalesce({row}.reserved_micros, 0) else 0 end"
        f" as reserved_micros, case when {row}.cost_micros is null and {lost}"
        f" then {sign} * coalesce({row}.reserved_micros, 0) else 0 end as unknown_micros"
    )


def _add(table: str, columns: tuple[str, ...]) -> str:
    return ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in columns)


def _add_sums(table: str, sums: str) -> str:
    return ", ".join(f"{name} = {table}.{name} + {sums}.{name}" for name in _SPENT_SUMS)


def _used(row: str) -> str:
    return f"({' + '.join(f'{row}.{name}' for name in _SPENT_SUMS)})"


# What a batch that has ended uses later: a late answer tells what its call did cost.
_CHANGED = f"{_used('new')} <> {_used('old')}"
_CARRY = f"""update tenant_spending
  set carried_micros = carried_micros + {_used("new")} - {_used("old")}
  where tenant_id = (select b.tenant_id from batches b where b.id = new.batch_id
    and b.carried = 1);"""
# A batch of which something is to be done again is counted by itself: see `moves.carrying`.
_IS_CARRIED = "select 1 from batches b where b.id = new.batch_id and b.carried = 1"
_OWN_USE = f"(select {_used('s')} from batch_spending s where s.batch_id = new.batch_id)"
_TAKE_BACK = f"""update tenant_spending set carried_micros = carried_micros - {_OWN_USE}
  where tenant_id = (select b.tenant_id from batches b where b.id = new.batch_id
    and b.carried = 1);
  update batches set carried = null, budget_micros = case when tenant_id is null
    then budget_micros when tenant_id in
    (select t.id from tenants t where t.budget_micros is not null) then {_OWN_USE} end
  where id = new.batch_id and carried = 1;"""
_SUMMED = ", ".join(f"sum({name}) as {name}" for name in _SPENT_SUMS)


def _sqlite() -> list[str]:
    hour = "substr({0}.started_at, 1, 13) || ':00:00.000Z'"
    day = "substr(new.started_at, 1, 10) || 'T00:00:00.000Z'"
    upsert_hour = f"on conflict ({_HOUR_KEY}) do update set {_add('usage_hourly', _HOUR_SUMS)}"
    used = f"""
  insert into usage_hourly {_hour_row("old", -1, hour.format("old"))} where old.outcome <> 0
    {upsert_hour};
  insert into usage_hourly {_hour_row("new", 1, hour.format("new"))} where true
    {upsert_hour};"""
    spent = f"""
  update batch_spending set {_add_sums("batch_spending", "d")}
  from (select {_SUMMED} from ({_spent_row("old", -1)} union all {_spent_row("new", 1)})) d
  where batch_spending.batch_id = new.batch_id;"""
    return [
        "drop trigger if exists jobs_moves",
        f"""create trigger jobs_moves before update of state on jobs
when old.state <> new.state and (({_MASK} >> (8 * old.state + new.state)) & 1) = 0
begin select raise(abort, 'illegal job state move'); end""",
        "drop trigger if exists jobs_counts",
        f"""create trigger jobs_counts after update of state, provider, model on jobs
when old.state <> new.state or old.provider <> new.provider or old.model <> new.model
begin
  update batch_counts set jobs = jobs - 1 where batch_id = old.batch_id
    and provider = old.provider and model = old.model and state = old.state;
  insert into batch_counts ({_COUNT_KEY}, jobs)
    values (new.batch_id, new.provider, new.model, new.state, 1)
    on conflict ({_COUNT_KEY}) do update set jobs = batch_counts.jobs + 1;
end""",
        "drop trigger if exists attempts_rollup",
        f"""create trigger attempts_rollup after update on attempts when new.outcome <> 0
begin{used}
  insert into latency_daily ({_DAY_KEY}, calls)
    select new.batch_id, {day}, new.provider, new.model,
      {_two_digits("new.latency_ms")}, 1
    where new.outcome = 1 and old.outcome <> 1 and new.latency_ms is not null
    on conflict ({_DAY_KEY}) do update set calls = latency_daily.calls + 1;
  insert into first_token_daily ({_FIRST_KEY}, calls)
    select new.batch_id, {day}, new.provider, new.model,
      {_two_digits("new.first_token_ms")}, 1
    where new.outcome = 1 and old.outcome <> 1 and new.first_token_ms is not null
    on conflict ({_FIRST_KEY}) do update set calls = first_token_daily.calls + 1;{spent}
end""",
        "drop trigger if exists embedder_rollup",
        f"""create trigger embedder_rollup after update on embedder_calls when new.outcome <> 0
begin{used}{spent}
end""",
        "drop trigger if exists jobs_replayed",
        f"""create trigger jobs_replayed after update of generation on jobs
when old.generation <> new.generation and exists ({_IS_CARRIED})
begin
  {_TAKE_BACK}
end""",
        "drop trigger if exists spending_carried",
        f"""create trigger spending_carried after update on batch_spending when {_CHANGED}
begin
  {_CARRY}
end""",
    ]


def _postgresql() -> list[str]:
    hour = "date_trunc('hour', {0}.started_at, 'UTC')"
    used = f"""
  insert into usage_hourly as u ({_HOUR_KEY}, {", ".join(_HOUR_SUMS)})
  select {_HOUR_KEY}, {", ".join(f"sum({name})" for name in _HOUR_SUMS)} from (
    {_hour_row("o", -1, hour.format("o"))} from old_rows o where o.outcome <> 0 union all
    {_hour_row("n", 1, hour.format("n"))} from new_rows n where n.outcome <> 0) moved
  group by {_HOUR_KEY} order by {_HOUR_KEY}
  on conflict ({_HOUR_KEY}) do update set {_add("u", _HOUR_SUMS)};"""
    spent = f"""
  for d in select moved.batch_id, {_SUMMED} from (
    {_spent_row("o", -1)} from old_rows o union all {_spent_row("n", 1)} from new_rows n) moved
    where exists (select 1 from batch_spending s where s.batch_id = moved.batch_id)
    group by moved.batch_id order by moved.batch_id
  loop
    update batch_spending s set {_add_sums("s", "d")} where s.batch_id = d.batch_id;
  end loop;"""
    return [
        """create or replace function jobs_moves() returns trigger language plpgsql as $$
begin
  raise exception 'illegal job state move % -> % of job %', old.state, new.state, old.id
    using errcode = 'check_violation';
end $$""",
        f"""create or replace trigger jobs_moves before update of state on jobs for each row
when (old.state <> new.state
  and (({_MASK}::bigint >> (8 * old.state + new.state)::int) & 1) = 0)
execute function jobs_moves()""",
        f"""create or replace function jobs_counts() returns trigger language plpgsql as $$
begin
  insert into batch_counts as c ({_COUNT_KEY}, jobs)
  select {_COUNT_KEY}, sum(n) from (
    select {_COUNT_KEY}, -1 as n from old_rows union all
    select {_COUNT_KEY}, 1 as n from new_rows) moved
  group by {_COUNT_KEY} having sum(n) <> 0 order by {_COUNT_KEY}
  on conflict ({_COUNT_KEY}) do update set jobs = c.jobs + excluded.jobs;
  return null;
end $$""",
        """create or replace trigger jobs_counts after update on jobs
referencing old table as old_rows new table as new_rows
for each statement execute function jobs_counts()""",
        f"""create or replace function attempts_rollup() returns trigger language plpgsql as $$
declare d record;
begin{used}
  insert into latency_daily as l ({_DAY_KEY}, calls)
  select n.batch_id, date_trunc('day', n.started_at, 'UTC'), n.provider, n.model,
    {_two_digits("n.latency_ms")}, count(*)
  from new_rows n join old_rows o on o.job_id = n.job_id and o.fence = n.fence
  where n.outcome = 1 and o.outcome <> 1 and n.latency_ms is not null
  group by 1, 2, 3, 4, 5 order by 1, 2, 3, 4, 5
  on conflict ({_DAY_KEY}) do update set calls = l.calls + excluded.calls;
  insert into first_token_daily as f ({_FIRST_KEY}, calls)
  select n.batch_id, date_trunc('day', n.started_at, 'UTC'), n.provider, n.model,
    {_two_digits("n.first_token_ms")}, count(*)
  from new_rows n join old_rows o on o.job_id = n.job_id and o.fence = n.fence
  where n.outcome = 1 and o.outcome <> 1 and n.first_token_ms is not null
  group by 1, 2, 3, 4, 5 order by 1, 2, 3, 4, 5
  on conflict ({_FIRST_KEY}) do update set calls = f.calls + excluded.calls;{spent}
  return null;
end $$""",
        """create or replace trigger attempts_rollup after update on attempts
referencing old table as old_rows new table as new_rows
for each statement execute function attempts_rollup()""",
        f"""create or replace function embedder_rollup() returns trigger language plpgsql as $$
declare d record;
begin{used}{spent}
  return null;
end $$""",
        """create or replace trigger embedder_rollup after update on embedder_calls
referencing old table as old_rows new table as new_rows
for each statement execute function embedder_rollup()""",
        # Row by row: a statement's trigger would be asked at each claim and end, too. Locked in the
        # order of those who carry, who have the batch first and then its spending.
        f"""create or replace function jobs_replayed() returns trigger language plpgsql as $$
begin
  perform 1 from batches b where b.id = new.batch_id for update;
  if exists ({_IS_CARRIED}) then
    perform 1 from batch_spending s where s.batch_id = new.batch_id for update;
    {_TAKE_BACK}
  end if;
  return null;
end $$""",
        """create or replace trigger jobs_replayed after update of generation on jobs for each row
when (old.generation <> new.generation) execute function jobs_replayed()""",
        f"""create or replace function spending_carried() returns trigger language plpgsql as $$
begin
  {_CARRY}
  return null;
end $$""",
        f"""create or replace trigger spending_carried after update on batch_spending for each row
when ({_CHANGED}) execute function spending_carried()""",
    ]
