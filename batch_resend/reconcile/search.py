"""Which of the wanted records have been seen. Pure.

Of the records only those are kept that belong to a doubt; of a control only that it has one.
So what is held grows with the ledger's own messages, however many records are read.
"""

from __future__ import annotations

from collections.abc import Iterable

from batch_resend.model import Reason
from batch_resend.reconcile.records import Record
from batch_resend.reconcile.windows import Doubt, Window


class Search:
    """A search that accepts records in any order and any number of times."""

    def __init__(self, doubts: Iterable[Doubt], controls: Iterable[str]) -> None:
        doubts = list(doubts)
        self._marks = {doubt.mark for doubt in doubts}
        #: by the request ID, where a response had one: also without the mark, as with a proxy
        self._by_request = {one.request_id: one.mark for one in doubts if one.request_id}
        self._controls = frozenset(controls)
        self._records: dict[str, Record] = {}
        self.seen: set[str] = set()  #: marks of controls that have a record
        self.read = 0  #: records of resends, by any caller

    def take(self, record: Record | None) -> None:
        """Add one record; None is a record of another kind."""
        if record is None:
            return
        self.read += 1
        if record.mark in self._controls:
            self.seen.add(record.mark)
        mark = record.mark
        if mark not in self._marks:
            if record.request_id not in self._by_request:
                return
            mark = self._by_request[record.request_id]
        earlier = self._records.get(mark)
        if earlier is None or record.prevails_over(earlier):
            self._records[mark] = record

    @property
    def matches(self) -> int:
        """How many doubts have a record."""
        return len(self._records)

    def record_of(self, doubt: Doubt) -> Record | None:
        """Return the record of a doubt, if there is one."""
        return self._records.get(doubt.mark)

    def is_over(self, window: Window) -> bool:
        """Whether nothing more in a window can change a finding.

        Every doubt of it was sent a message, by its record. Any other record may be that of a
        repeated request, and an earlier one say the contrary.
        """
        records = (self._records.get(doubt.mark) for doubt in window.doubts)
        return all(one is not None and one.reason is Reason.ACCEPTED for one in records)
