"""The mark of an intent: the word in a request's User-Agent by which its record is found again.

AWS CloudTrail keeps the User-Agent of each call as it was sent. So every request says whose
intent it carries out, `intent/` and 26 characters, and a record with the mark is the record of
that request and of no other: not of a user's own click, not of another run's or ledger's.

A mark is an HMAC under the ledger's own key, 130 bits of it. It says nothing to anybody without
that key: no name, no number of the intent. Nothing has to be stored; it is worked out again
from the ledger when it is looked for.
"""

from __future__ import annotations

import base64
import hmac
import re

LENGTH = 26

_WORD = "intent/"
# The whole word only: a longer one is of another program, a shorter one was cut off.
_IN_AGENT = re.compile(rf"(?:^|\s){_WORD}([a-z2-7]{{{LENGTH}}})(?=\s|$)")


def make_mark(key: bytes, intent: bytes) -> str:
    """Return the mark of an intent, which `intent` must name as no other of this ledger does."""
    digest = hmac.digest(key, b"intent\0" + intent, "sha256")
    return base64.b32encode(digest)[:LENGTH].decode("ascii").lower()


def with_mark(agent: str, mark: str) -> str:
    """Return the User-Agent that carries a mark; an empty mark leaves it as it is."""
    return f"{agent} {_WORD}{mark}".lstrip() if mark else agent


def find_mark(agent: str) -> str:
    """Return the mark in a User-Agent, or an empty text; two different ones are none."""
    marks = set(_IN_AGENT.findall(agent))
    return str(marks.pop()) if len(marks) == 1 else ""
