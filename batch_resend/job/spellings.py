"""Names that two rows spell differently and that look the same: the plan notes them.

Cognito compares Usernames code point by code point, so the composed and the decomposed form
of a letter are two users there, though they look alike. And where names that differ only in
case count as one user, Unicode folds more than case: the Kelvin sign becomes `k`, `ß` becomes
`ss`. The first is planned as two users and the second as one; both are for a person to see.
"""

from __future__ import annotations

import unicodedata

from batch_resend.job.spool import Spool
from batch_resend.sources.oddities import Odd, Oddities

_FOLDED = """
SELECT later.row FROM planned AS later JOIN (
    SELECT folded, username, min(row) FROM planned WHERE folded IN (
        SELECT folded FROM planned WHERE reason = 'duplicate') GROUP BY folded) AS first
 ON later.folded = first.folded
 WHERE later.reason = 'duplicate' AND later.username != first.username
  AND spelled(later.username) != spelled(first.username) ORDER BY later.row
"""
# A name with as many characters as bytes is ASCII, and has one form only.
_COMPOSED = """
SELECT row FROM (
    SELECT row, reason, username, first_value(username) OVER (
        PARTITION BY composed(username) ORDER BY row) AS first
     FROM planned WHERE folded IS NOT NULL
      AND length(CAST(username AS TEXT)) != length(username))
 WHERE reason = 'eligible' AND spelled(username) != spelled(first) ORDER BY row
"""


def note_folded(spool: Spool, oddities: Oddities) -> None:
    """Note the duplicates whose names differ in more than case from those of the rows kept."""
    for row in spool.rows_found(_FOLDED, spelled=_without_case):
        oddities.note(Odd.FOLDED, row)


def note_forms(spool: Spool, oddities: Oddities) -> None:
    """Note the rows whose names differ from earlier ones only in their Unicode form."""
    for row in spool.rows_found(_COMPOSED, spelled=_without_case, composed=_composed):
        oddities.note(Odd.UNICODE_FORM, row)


def _without_case(stored: bytes) -> str:
    """Return a name with each letter that has exactly one other case in lower case."""
    return "".join(
        lower if (lower := c.lower()).upper() == c else c for c in stored.decode("utf-8", "replace")
    )


def _composed(stored: bytes) -> str:
    name = unicodedata.normalize("NFC", stored.decode("utf-8", "replace"))
    return unicodedata.normalize("NFC", name.casefold())
