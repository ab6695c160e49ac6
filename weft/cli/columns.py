"""Aligns rows of text in columns, which people can read and scripts can split.

Pure. As kubectl does it: nothing is cut or wrapped, whatever the width of the terminal, and no line
ends with blanks.
"""

from __future__ import annotations

from collections.abc import Sequence

GAP = "  "


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """A line for each row; the first has the heads, and all have as many cells."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
