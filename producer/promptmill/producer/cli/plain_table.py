"""A table as rich draws it, without rich: its import takes as long as all that a glance reads."""

from collections.abc import Sequence

_BETWEEN = "  "


def plain_lines(
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    to_the_right: Sequence[bool],
    width: int,
) -> list[str] | None:
    """Write the names of the columns and all *rows*, a line each; None: that takes rich.

    It does where a line would not fit *width*, or a character may take no place, or two.
    """
    table = [names, *rows]
    if not all(cell.isascii() and cell.isprintable() for row in table for cell in row):
        return None
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    if not all(widths) or sum(widths) + len(_BETWEEN) * (len(widths) - 1) > width:
        return None
    return [
        _BETWEEN.join(
            cell.rjust(wide) if right else cell.ljust(wide)
            for cell, wide, right in zip(row, widths, to_the_right, strict=True)
        )
        for row in table
    ]
