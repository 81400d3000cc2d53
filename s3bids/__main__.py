"""Run the command line: ``python -m s3bids``."""

from .cli import main

if __name__ == "__main__":
    main()
