"""`results`, `export`, `sql` and `report`."""

from typing import Annotated, Literal

from typer import Argument, Option

from promptmill.producer.cli.verbs.arguments import Batch, Failed, Formulas, Unmask


def results(
    batch: Batch = None,
    number: Annotated[
        int | None, Option("-n", min=1, metavar="N", help="Only the first so many.")
    ] = None,
    *,
    failed: Failed = False,
    follow: Annotated[
        bool, Option("-f", "--follow", help="Each as it ends, until all have.")
    ] = False,
    unmask: Unmask = False,
    as_json: Annotated[
        bool, Option("--json", help="One JSON object a line; what a pipe gets in any case.")
    ] = False,
) -> None:
    """Show the answers of a batch in the order of its input."""
    from promptmill.producer.cli.results import show_results

    show_results(batch, number, failed=failed, follow=follow, as_json=as_json, unmask=unmask)


def export(
    batch: Batch = None,
    *,
    output: Annotated[
        str,
        Option("-o", "--output", metavar="FILE", help="out.jsonl, .csv or .parquet; - is stdout."),
    ] = "",
    format: Annotated[  # noqa: A002  typer takes the option's name from it
        Literal["jsonl", "csv", "parquet", "openai-batch"] | None,
        Option(
            "--format",
            metavar="FORMAT",
            help="jsonl, csv, parquet or openai-batch, where FILE does not tell.",
        ),
    ] = None,
    failed: Failed = False,
    all_: Annotated[bool, Option("--all", help="Every prompt, whatever its state.")] = False,
    columns: Annotated[
        str | None, Option("--columns", metavar="A,B", help="Only these, in this order.")
    ] = None,
    formulas: Formulas = False,
    unmask: Unmask = False,
    as_json: Annotated[bool, Option("--json", help="Tell what was written as JSON.")] = False,
) -> None:
    """Write the answers of a batch to a file, in the order of its input.

    The file is there whole or not at all. It shows one moment, also while workers go on.
    """
    from promptmill.producer.cli.export import Chosen, export_batch

    chosen = Chosen(
        output,
        format,
        failed=failed,
        all_=all_,
        columns=columns,
        formulas=formulas,
        unmask=unmask,
    )
    export_batch(batch, chosen, as_json=as_json)


def sql(
    statement: Annotated[str, Argument(metavar="SELECT", help="A statement, or - for stdin.")],
    as_csv: Annotated[bool, Option("--csv", help="CSV; what a pipe gets in any case.")] = False,
    as_json: Annotated[bool, Option("--json", help="One JSON object a row.")] = False,
    formulas: Formulas = False,
) -> None:
    """Ask the database; nothing can be changed. The views to ask are in docs/results.md."""
    from promptmill.producer.cli.sql import ask

    ask(statement, as_csv=as_csv, as_json=as_json, formulas=formulas)


def report(
    batch: Batch = None,
    output: Annotated[
        str | None,
        Option("-o", "--output", metavar="FILE", help="Else report-BATCH.html; - prints it."),
    ] = None,
    prompts: Annotated[
        bool, Option("--prompts", help="With the text of the slowest and the dearest prompts.")
    ] = False,
) -> None:
    """Write a report of a batch: one HTML page with plots, that loads nothing.

    Progress, throughput against the limits, latency, tokens and cost by model, failures and what
    to do about them, refusals and retries, the slowest and the dearest prompts. It may be made
    while the batch runs.
    """
    from promptmill.producer.cli.report import write_report

    write_report(batch, output, with_prompts=prompts)
