"""The picture of the live display: `python -m tests.benchmarks.picture_of_terminal` takes it anew.

It is a frame of a real run against the simulator, 25 seconds after its beginning, with
nothing in it but what the program showed. A picture of another run differs in numbers.
"""

import io
import os
import random
import re
import tempfile
from pathlib import Path

import anyio
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from batch_resend import Settings
from batch_resend.console.live import frame
from batch_resend.model import Reason, Result
from batch_resend.observer import Began, Event, Planned, Settled
from batch_resend.preflight.preview import confirmation_lines
from batch_resend.run.prepare import prepare
from batch_resend.run.stops import Stops

PICTURE = Path(__file__).resolve().parents[2] / "examples" / "terminal.svg"
AFTER = 25.0  #: seconds
KINDS = ("missing", "missing", "missing", "tired", "undeliverable", "lost")


class Photographer:
    """A console that prints the plan and, once, the frame; then it stops the run."""

    def __init__(self, stops: Stops) -> None:
        self.console = Console(record=True, width=80, file=io.StringIO(), force_terminal=True)
        self.stops = stops
        self.latest: dict[Reason, None] = {}
        self.began: Began | None = None
        self.began_at = 0.0

    def say(self, text: str) -> None:
        self.console.print(Text(text), soft_wrap=True)

    def observe(self, event: Event) -> None:
        match event:
            case Planned(preview):
                for line in confirmation_lines(preview):
                    self.say(line)
            case Began():
                self.began, self.began_at = event, anyio.current_time()
            case Settled(result):
                self.settled(result)

    def settled(self, result: Result) -> None:
        if result.outcome in {"failed", "unknown"}:
            self.latest.pop(result.reason, None)
            self.latest[result.reason] = None
        gone = anyio.current_time() - self.began_at
        if self.began is not None and gone >= AFTER:
            self.console.print(frame(self.began.snapshot(), seconds=gone, latest=self.latest))
            self.console.print()  # else the last line is cut off
            self.began = None
            self.stops.stop()


def users(count: int) -> str:
    """Make up a file in which one of 25 is trouble."""
    rng = random.Random(4)
    names = (
        f"user{number}" + (f"+{rng.choice(KINDS)}" if rng.random() < 0.04 else "")
        for number in range(count)
    )
    return "username\n" + "".join(f"{name}@example.com\n" for name in names)


async def take() -> str:
    """Run, and return the picture."""
    stops = Stops()
    photographer = Photographer(stops)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("users.csv").write_text(users(3000))
        settings = Settings(
            users="users.csv", simulate=True, report="/dev/null", rate=60.0, timeout=2.0
        )
        photographer.say("$ batch-resend run users.csv --simulate --rate 60 --timeout 2s")
        async with prepare(settings, observe=photographer.observe, stops=stops) as prepared:
            await prepared.send()
    # Without fonts from elsewhere: a picture loads nothing.
    form = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    console = photographer.console
    return console.export_svg(title="batch-resend", code_format=form, unique_id="terminal")


if __name__ == "__main__":
    PICTURE.write_text(anyio.run(take), encoding="utf-8")
    print(f"Taken: {PICTURE}")
