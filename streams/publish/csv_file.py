"""The file that is published, and the file of its rows that were not."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import polars as pl

from schemas.codec import Reject
from streams.errors import InputRefused

T = TypeVar("T")

FIRST_LINE = 2
"""Line 1 is the header."""
ROWS_AT_ONCE = 20_000
SHOWN_REJECTS = 20


class CsvFile:
    """A CSV file in UTF-8 with a header line. Every cell is text.

    Raises:
        InputRefused: it is not there, or it is no such file.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise InputRefused(f"no file {path}")
        self.path = path
        self._lazy = pl.scan_csv(path, infer_schema=False)
        self.columns: list[str] = self._read(lambda: self._lazy.collect_schema().names())
        self.digest, self.rows = self._digest_and_rows()

    def tables(self) -> Iterator[pl.DataFrame]:
        """The rows in their order, some thousand at once."""
        tables = iter(self._lazy.collect_batches(chunk_size=ROWS_AT_ONCE, maintain_order=True))
        while (table := self._read(lambda: next(tables, None))) is not None:
            yield table

    def _read(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except pl.exceptions.PolarsError as error:
            raise InputRefused(f"{self.path} cannot be read as CSV: {str(error).splitlines()[0]}") from None

    def _digest_and_rows(self) -> tuple[str, int]:
        """A name for the content, and about how many rows it has (line breaks inside of quotes count too)."""
        digest, lines = hashlib.sha256(), 0
        with self.path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
                lines += block.count(b"\n")
        return digest.hexdigest()[:16], max(lines - 1, 0)


class Rejects:
    """The rejected rows beside their line and reason, in ``NAME.rejects.csv``, made when the first one comes."""

    def __init__(self, source: CsvFile) -> None:
        self.path = source.path.with_suffix(".rejects.csv")
        self.by_reason: Counter[str] = Counter()
        self.first: list[tuple[int, Reject]] = []
        """Line and reject of some."""
        self._file: Any = None

    @property
    def count(self) -> int:
        """Number of rejected rows."""
        return self.by_reason.total()

    def __enter__(self) -> Self:
        self.path.unlink(missing_ok=True)  # of an earlier run
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, table: pl.DataFrame, first_line: int, rejects: Sequence[Reject]) -> None:
        """Write the rows of a table that were rejected."""
        if rejects and self._file is None:
            self._file = self.path.open("w", encoding="utf-8", newline="")
            csv.writer(self._file).writerow(["line", "reason", "detail", *table.columns])
        for reject in rejects:
            line = first_line + reject.index
            csv.writer(self._file).writerow([line, reject.reason, reject.detail, *table.row(reject.index)])
            self.by_reason[reject.reason] += 1
            if len(self.first) < SHOWN_REJECTS:
                self.first.append((line, reject))
