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
from batch_resend.job.engine import Job
from batch_resend.job.outcome import Stop
from batch_resend.model import Reason, Result
from batch_resend.observer import Observer
from batch_resend.preflight.preview import Preview, confirmation_lines
from batch_resend.run.prepare import Run

PICTURE = Path(__file__).resolve().parents[2] / "examples" / "terminal.svg"
AFTER = 25.0  #: seconds
KINDS = ("missing", "missing", "missing", "tired", "undeliverable", "lost")


class Photographer(Observer):
    """Prints the plan and, once, the frame."""

    def __init__(self) -> None:
        self.console = Console(record=True, width=80, file=io.StringIO(), force_terminal=True)
        self.run: Run | None = None
        self.latest: dict[Reason, None] = {}
        self.began_at: float | None = None
        self.job: Job | None = None

    def say(self, text: str) -> None:
        self.console.print(Text(text), soft_wrap=True)

    async def confirm(self, preview: Preview) -> bool:
        for line in confirmation_lines(preview):
            self.say(line)
        return True

    def began(self, job: Job) -> None:
        self.job, self.began_at = job, anyio.current_time()

    def settled(self, result: Result) -> None:
        if result.outcome in {"failed", "unknown"}:
            self.latest.pop(result.reason, None)
            self.latest[result.reason] = None
        if self.job is None or self.began_at is None or self.run is None:
            return
        if (gone := anyio.current_time() - self.began_at) >= AFTER:
            self.console.print(frame(self.job.snapshot(), seconds=gone, latest=self.latest))
            self.job = None
            self.run.stop(Stop.CALLER)


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
    photographer = Photographer()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("users.csv").write_text(users(3000))
        settings = Settings(
            users="users.csv", simulate=True, report="/dev/null", rate=60.0, timeout=2.0
        )
        photographer.say("$ batch-resend run users.csv --simulate --rate 60 --timeout 2s")
        photographer.run = Run(settings, observer=photographer)
        await photographer.run.execute()
    # Without fonts from elsewhere: a picture loads nothing.
    form = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    console = photographer.console
    return console.export_svg(title="batch-resend", code_format=form, unique_id="terminal")


if __name__ == "__main__":
    PICTURE.write_text(anyio.run(take), encoding="utf-8")
    print(f"Taken: {PICTURE}")
