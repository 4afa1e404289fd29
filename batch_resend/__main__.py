"""`python -m batch_resend`, and the console script."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the program and leave with its exit code."""
    try:
        from batch_resend.cli import program

        code = program(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
