"""The command line: parse, call one function, render. The only room that prints or sets up logging."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the program ``s3bids`` and exit with its code."""
    try:
        from .program import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        # Only while the program is being loaded; later, it says what was interrupted.
        code = 130
    sys.exit(code)
