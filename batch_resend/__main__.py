"""`python -m batch_resend`, and the console script."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the program and leave with its exit code."""
    _have_standard_streams()
    try:
        from batch_resend.cli import program

        code = program(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    _let_go()
    sys.exit(code)


def _have_standard_streams() -> None:
    """Open the null device for each closed standard stream: no file may get its number."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    if sys.stdin is None:
        sys.stdin = open(0)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(1, "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w")  # noqa: SIM115


def _let_go() -> None:
    """Flush nothing to a closed terminal or pipe, which would change the exit code."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


if __name__ == "__main__":
    main()
