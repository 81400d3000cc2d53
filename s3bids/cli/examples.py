"""The examples at the end of each command's help; a test reads every line as the program would."""

from __future__ import annotations

#: Command -> pairs of a command line and what it is for.
EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "demo": (
        ("s3bids demo", "into s3bids-demo in the working directory"),
        ("s3bids demo /tmp/try", "into a directory of your choice"),
    ),
    "studies": (
        ("s3bids studies", "names and addresses"),
        ("s3bids studies --json", "with all that their files say"),
    ),
    "ls": (
        ("s3bids ls hbn-si", "the subjects of a shipped study"),
        ("s3bids ls s3://openneuro.org/ds000102 --files", "the files of any study, with their sizes"),
        ("s3bids ls file:///data/buckets/lab/study --derivatives --json", "of a directory that stands for a bucket"),
    ),
    "plan": (
        ("s3bids plan hbn-si --subjects 10", "what the first ten subjects would cost"),
        ("s3bids plan hbn-si data --subjects 10 --derivatives all", "and how much of it is in data already"),
    ),
    "download": (
        ("s3bids download hbn-si data --subjects 10", "the raw data of ten subjects"),
        ("s3bids download s3://openneuro.org/ds000102 ds000102", "a whole data set"),
        ("s3bids download s3://bucket/study data --derivatives 'afq*' --suffix profiles.csv --sign", "tables only"),
        ("s3bids download hbn-si data --subjects 10 --retry-failed", "what failed before, and nothing else"),
    ),
    "verify": (
        ("s3bids verify data", "are all files here, with their sizes?"),
        ("s3bids verify data --deep", "and with their bytes?"),
        ("s3bids verify data --remote", "has the bucket changed since?"),
    ),
    "report": (
        ("s3bids report hbn-si -o hbn-si.html", "what a study holds, before anything is fetched"),
        ("s3bids report data -o data.html --deep", "what a download holds, and the state of its files"),
        ("s3bids report ./hbn-si", "a download that is called like a shipped study"),
    ),
}


def epilog(command: str) -> str:
    """Give the examples of a command as click shows them: as they are, without filling lines."""
    lines = [f"  {line}\n      {what}" for line, what in EXAMPLES[command]]
    return "\b\nExamples:\n" + "\n".join(lines)


__all__ = ["EXAMPLES", "epilog"]
