"""Users who are named one by one. The promise: one candidate per name, in the order given."""

from __future__ import annotations

from collections.abc import Sequence

from batch_resend.model import Candidate
from batch_resend.sources.cells import as_read_back
from batch_resend.sources.csv_records import csv_row
from batch_resend.sources.planned_batch import BatchSource

_COLUMN = "username"


class NamedUsers(BatchSource):
    """The users of `--user`. Their rows are those of a CSV file with one column."""

    columns = frozenset({_COLUMN})
    username_column = _COLUMN
    heading = f"{_COLUMN}\n"

    def __init__(self, names: Sequence[str]) -> None:
        """Number the names from 1; whitespace around a name is removed."""
        super().__init__(
            "--user",
            [
                Candidate(row, name, {_COLUMN: name}, csv_row([as_read_back(name)]))
                for row, name in enumerate(map(str.strip, names), 1)
            ],
        )
