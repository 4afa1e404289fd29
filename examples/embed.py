"""Run the job from Python: results as they come, and a summary at the end.

    python examples/embed.py [USERS]

Nothing is sent: the run is simulated. For a real one omit `simulate` and pass `client_id`; a
client secret comes from the function `client_secret`, from the file at `client_secret_file`,
or from the variable BATCH_RESEND_CLIENT_SECRET.
"""

from __future__ import annotations

import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import anyio

from batch_resend import BatchResendError, Outcome, Settings, open_run

USERS = Path(__file__).with_name("users.csv")


async def main(users: str) -> int:
    """Run once; return the exit code that the command line would."""
    settings = Settings(
        users=users,
        simulate=True,
        metadata={"locale": "@locale", "source": "embedded"},
        timeout=timedelta(seconds=1),
    )
    counts: Counter[Outcome] = Counter()
    try:
        async with open_run(settings) as running:
            async for result in running:
                counts[result.outcome] += 1
                if result.outcome is Outcome.UNKNOWN:
                    print(f"row {result.row}: a code may have been sent, {result.reason}")
    except BatchResendError as error:  # nothing was sent: a sentence for a person
        print(f"Error: {error}", file=sys.stderr)
        return int(error.exit_code)
    for outcome, count in counts.most_common():
        print(f"{count:5} {outcome}")
    summary = running.summary
    print(f"{summary.rows} rows, {summary.requests} requests, {summary.unknown_in_ledger} unknown")
    return int(summary.exit_code)


if __name__ == "__main__":
    sys.exit(anyio.run(main, sys.argv[1] if len(sys.argv) > 1 else str(USERS)))
