"""The examples at the end of each command's help; a test reads every line as the program would."""

from __future__ import annotations

#: Command -> pairs of a command line and what it is for.
EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "demo": (
        ("s3bids demo", "into s3bids-demo in the working directory"),
        ("s3bids demo /tmp/try", "into a directory of your choice"),
    ),
    "studies": (
        ("s3bids studies", "names and descriptions"),
        ("s3bids studies --long", "and addresses"),
        ("s3bids studies --json", "with all that their files say"),
    ),
    "ls": (
        ("s3bids ls hbn-si", "the subjects of a shipped study"),
        ("s3bids ls s3://openneuro.org/ds000102 --files", "the files of any study, with their sizes"),
        ("s3bids ls file:///data/buckets/lab/study --derivatives --json", "of a directory that stands for a bucket"),
        ("s3bids ls hbn-si --headers --filter suffix=bold -o bold.tsv", "shapes, voxel sizes and times, as a table"),
    ),
    "header": (
        ("s3bids header s3://openneuro.org/ds000102/sub-01/anat/sub-01_T1w.nii.gz", "one image, with its sidecars"),
        ("s3bids header file:///data/buckets/lab/image.nii --no-sidecars --json", "of a file, for a program"),
    ),
    "plan": (
        ("s3bids plan hbn-si --subjects 10", "what the first ten subjects would cost"),
        ("s3bids plan hbn-si data --subjects 10 --derivatives all", "and how much of it is in data already"),
        ("s3bids plan hbn-si --save plan.jsonl.gz", "list once, for many processes and for later"),
    ),
    "download": (
        ("s3bids download hbn-si data --subjects 10", "the raw data of ten subjects"),
        ("s3bids download s3://openneuro.org/ds000102 ds000102", "a whole data set"),
        ("s3bids download s3://bucket/study data --derivatives 'afq*' --suffix profiles.csv --sign", "tables only"),
        ("s3bids download hbn-si data --subjects 10 --retry-failed", "what failed before, and nothing else"),
        ("s3bids download --plan plan.jsonl.gz data --shard 3/16", "a sixteenth of a saved plan; nothing is listed"),
        ("s3bids download --locked study.lock data", "the very objects that s3bids lock wrote down"),
    ),
    "verify": (
        ("s3bids verify data", "are all files here, with their sizes?"),
        ("s3bids verify data --deep", "and with their bytes?"),
        ("s3bids verify data --remote", "has the bucket changed since?"),
        ("s3bids verify data --plan plan.jsonl.gz --report checked", "is each object of a saved plan here?"),
    ),
    "report": (
        ("s3bids report hbn-si -o hbn-si.html", "what a study holds, before anything is fetched"),
        ("s3bids report data -o data.html --deep", "what a download holds, and the state of its files"),
        ("s3bids report ./hbn-si", "a download that is called like a shipped study"),
    ),
    "diff": (
        ("s3bids diff data hbn-si", "what is new, changed or gone upstream of a download"),
        ("s3bids diff data hbn-si --subjects 10 --derivatives afq", "with the options of that download"),
    ),
    "update": (
        ("s3bids update data --dry-run", "what would be fetched"),
        ("s3bids update data", "fetch what is new or has changed"),
        ("s3bids update data --prune", "and delete what is gone upstream, after a question"),
    ),
    "lock": (
        ("s3bids lock hbn-si -o study.lock", "the objects of a study as they are now"),
        ("s3bids lock s3://bucket/study -o study.lock --subjects 10 --sign", "of ten subjects in a private bucket"),
    ),
    "slurm": (
        ("s3bids slurm hbn-si /scratch/hbn --tasks 16", "scripts for 16 tasks; nothing is submitted"),
        ("s3bids slurm hbn-si /scratch/hbn --tasks 64 --at-once 8 --time 4:00:00 --sbatch=--mem=4G", "with limits"),
    ),
}


def epilog(command: str) -> str:
    """Give the examples of a command as click shows them: as they are, without filling lines."""
    lines = [f"  {line}\n      {what}" for line, what in EXAMPLES[command]]
    return "\b\nExamples:\n" + "\n".join(lines)


__all__ = ["EXAMPLES", "epilog"]
