"""A file system that many share: modes, groups, and nothing written or locked elsewhere."""

import os
import stat
import sys

import pytest

PROGRAM = (
    "import errno, fcntl, os, sys\n"
    "from s3bids.cli.program import run\n"
    "def refuse(*_): raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))\n"
    "fcntl.flock = fcntl.lockf = refuse\n"
    "os.umask({umask})\n"
    "sys.exit(run(sys.argv[1:]))\n"
)


@pytest.fixture
def refusing(run, environment):
    """A function that runs the program with an umask, no place for files but the destination, and no locks."""
    environment.update(HOME="/dev/null/home", TMPDIR="/dev/null/tmp")

    def go(*arguments, umask=0o022, **options):
        return run(*arguments, program=(sys.executable, "-c", PROGRAM.format(umask=umask)), **options)

    return go


@pytest.mark.parametrize(("umask", "file_mode", "folder_mode"), [(0o007, 0o660, 0o770), (0o022, 0o644, 0o755)])
def test_modes_follow_the_umask(refusing, proxy, work, umask, file_mode, folder_mode):
    refusing("download", proxy.study, "out", "--endpoint-url", proxy.url, umask=umask, code=0)
    for path in (work / "out").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (folder_mode if path.is_dir() else file_mode)


def test_the_group_of_a_setgid_folder_is_kept(refusing, url, work):
    out = work / "out"
    out.mkdir()
    group = next((each for each in os.getgroups() if each != os.getgid()), 12345 if os.getuid() == 0 else os.getgid())
    os.chown(out, -1, group)
    out.chmod(0o2770)
    refusing("download", url, "out", umask=0o007, code=0)
    found = [path.stat() for path in out.rglob("*")]
    assert {each.st_gid for each in found} == {group}
    assert all(each.st_mode & stat.S_ISGID for each in found if stat.S_ISDIR(each.st_mode))


def test_every_command_works_without_locks_and_without_a_home(refusing, url):
    refusing("plan", url, "--save", "p.gz", code=0)
    refusing("download", "--plan", "p.gz", "out", code=0)
    refusing("verify", "out", "--plan", "p.gz", "--deep", code=0)
    refusing("slurm", url, "out", "--tasks", "2", code=0)
