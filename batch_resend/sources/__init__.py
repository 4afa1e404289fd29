"""Where the users come from: each source is a stream of `model.Candidate`.

`open` raises for an input that cannot be read, as far as that can be known early;
`batches` then yields the candidates in their order and never holds the whole input.
"""

from typing import Literal

#: The formats of an input file.
Format = Literal["csv", "json", "jsonl", "xlsx"]
