"""Jobs of one batch and scope in the order of the index that begins with these, in SQL.

SQLite takes that index by itself. PostgreSQL goes by its statistics, and where those are older than
the last wave of moves (right after a load all is pending, and nothing waits), it takes another one
that has the order too, of all jobs or of all batches, and reads there what is not wanted, perhaps a
million. So it is asked for the rows that lie between two rows: that order has one index only.
"""


def stretch(
    only: str,
    column: str,
    *,
    job: str = "jobs",
    batch: str = ":batch_id",
    bound: str = "",
    last_first: bool = False,
) -> dict[str, str]:
    """Write, for each engine, from `where` to the end of `order by`. The scope: :provider, :model.

    *only*: the condition of the index, and more. *column*: the next one of the index. *job*: the
    table's alias. *batch*, and *bound* of the column, as in `<= 7`, are SQL.
    """
    direction = " desc" if last_first else ""
    names = [f"{job}.{name}" for name in ("batch_id", "provider", "model")]
    wanted = [batch, ":provider", ":model"]
    last = f"{job}.{column}"

    alike = [f"{name} = {value}" for name, value in zip(names, wanted, strict=True)]
    sqlite = [*alike, f"{last} {bound}"] if bound else alike
    low, high = _row(names, ">=", wanted), _row(names, "<=", wanted)
    if bound:
        operator, value = bound.split(" ", 1)
        row = _row([*names, last], operator, [*wanted, value])
        low, high = (row, high) if operator.startswith(">") else (low, row)
    order = ", ".join(f"{name}{direction}" for name in (*names, last))
    return {
        "sqlite": f"where {' and '.join(sqlite)} and {only} order by {last}{direction}",
        "postgresql": f"where {low} and {high} and {only} order by {order}",
    }


def _row(names: list[str], operator: str, values: list[str]) -> str:
    return f"({', '.join(names)}) {operator} ({', '.join(values)})"
