"""The exit code of a download, and how much of its trouble is shown."""

import pytest

from s3bids.cli.outcome import MOST_NAMED, exit_code, show_trouble
from s3bids.cli.program import Exit
from s3bids.transfer.report import DownloadReport, Failure


@pytest.mark.parametrize(
    ("report", "code"),
    [
        (DownloadReport(fetched=2), Exit.DONE),
        (DownloadReport(skipped=2), Exit.DONE),
        (DownloadReport(fetched=1, conflicts=1), Exit.FAILED),
        (DownloadReport(fetched=1, failed=1), Exit.FAILED),
        (DownloadReport(fetched=1, failed=1, no_space=True), Exit.NO_SPACE),
    ],
)
def test_the_exit_code_tells_the_truth(report, code):
    assert exit_code(report) == code


def test_the_screen_is_not_flooded(capsys):
    files = tuple(Failure(f"key-{number}", f"key-{number}", "no", 1) for number in range(MOST_NAMED + 1234))
    show_trouble(DownloadReport(failed=len(files), failed_files=files))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == MOST_NAMED + 1
    assert lines[-1] == "s3bids: failed: and 1,234 more; --json or --log-file name them all"
