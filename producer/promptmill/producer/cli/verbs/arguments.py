"""Arguments that several verbs have."""

from typing import Annotated

from typer import Argument, Option

BatchId = Annotated[int, Argument(metavar="BATCH", help="Batch id.")]
Batch = Annotated[int | None, Argument(metavar="BATCH", help="Batch id; the latest if left out.")]
Json = Annotated[bool, Option("--json", help="One JSON object.")]
JsonEvents = Annotated[bool, Option("--json", help="One JSON event a line.")]
Yes = Annotated[bool, Option("-y", "--yes", help="Do not ask, however much it may cost.")]
Failed = Annotated[bool, Option("--failed", help="What failed, in place of answers.")]
Unmask = Annotated[bool, Option("--unmask", help="Put back the personal data that was masked.")]
Formulas = Annotated[
    bool, Option("--formulas", help="CSV: leave a cell that begins as a formula as it is.")
]
