"""``s3bids demo``: the whole way in one minute, without a network."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

import click

from .completion import complete_directories
from .options import ALL, Choice, Connection, not_empty


@click.command("demo")
@click.argument(
    "directory", metavar="[DIR]", shell_complete=complete_directories, default="s3bids-demo", callback=not_empty
)
def command(directory: str) -> int:
    """Make a small study, download it, and show what came.

    No network is used: the study is written to DIR/source, which stands for a bucket on S3, and downloaded to
    DIR/download. Run it again to see that nothing is fetched twice. DIR is by default s3bids-demo.
    """
    from ..errors import DownloadError
    from .outcome import exit_code, show_outcome, show_trouble
    from .plan_view import overview, show_tables
    from .render import out
    from .study_argument import open_chosen

    source = _written(Path(directory).absolute())
    url = f"file://{source.as_posix()}"
    target = Path(directory) / "download"
    out(f"The study is at {url},", "a directory that stands for a bucket on S3.", "")
    chosen = open_chosen(url, Connection(), Choice(derivatives=(ALL,)))
    try:
        report = chosen.study.download_dataset(target, derivatives=True)
    except DownloadError as error:
        report = error.report
    show_trouble(report)
    if report.plan is not None:
        show_tables(overview(report.plan, chosen.study.layout), done=True)
    show_outcome(chosen, report, target, as_json=False)
    out("", "Next, try:", *(f"  {line}" for line in _commands(url, directory, str(target))))
    return exit_code(report)


def _written(directory: Path) -> Path:
    """Write the study, unless it is there from an earlier time: its files then keep their age, as objects do."""
    from ..storage.files import part_name
    from ..testing.studies import write_study
    from ..transfer.destination import check_directory

    bucket = directory / "source" / "demo-bucket"
    study = bucket / "study"
    check_directory(bucket)
    if not study.exists():
        # Under another name first, so that half a study is never taken for a whole one.
        unfinished = bucket.parent / part_name()
        write_study(unfinished)
        unfinished.rename(study)
    return study


def _commands(url: str, directory: str, target: str) -> list[str]:
    some = str(Path(directory) / "some")
    program = _program()
    return [
        f"{program} ls {shlex.quote(url)} --files",
        f"{program} download {shlex.quote(url)} {shlex.quote(some)} --subjects 01 --suffix bold.nii.gz",
        f"{program} verify {shlex.quote(target)} --deep",
        f"{program} report {shlex.quote(target)} -o {shlex.quote(str(Path(directory) / 'page.html'))}",
        f"{program} studies",
    ]


def _program() -> str:
    """Give what to type for this program: a virtual environment that is not activated needs the path."""
    called = sys.argv[0]
    found = shutil.which("s3bids")
    if Path(called).name != "s3bids" or (found and Path(found).resolve() == Path(called).resolve()):
        return "s3bids"
    return shlex.quote(called)
