"""Where the users come from: each source is a stream of `model.Candidate`.

A source is opened (what cannot be read is said there, as far as it can be known), then
gives its candidates in batches, in their order, never holding the whole input.
"""

from typing import Literal

#: The formats of a file that can be given.
Format = Literal["csv", "json", "jsonl", "xlsx"]
