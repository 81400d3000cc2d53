"""Write the pages of the reference that come out of the code: the command line, study files, errors, and performance.

`make docs` runs it; a test holds the pages to what it writes.
"""

from __future__ import annotations

import builtins
import json
import os
import subprocess
import sys
import textwrap
from dataclasses import fields
from pathlib import Path
from typing import Any

from s3bids import errors
from s3bids.cli.program import COMMANDS
from s3bids.config import ALLOWED, StudyConfig, study_schema

DOCS = Path(__file__).parent
ROOT = DOCS.parent
NOTE = "<!-- Written by docs/make_reference.py; edit what it reads. -->\n\n"

#: Error -> what to do about it.
NEXT_STEPS = {
    "S3BIDSError": "Catch it to catch every error that s3bids raises by itself.",
    "StorageError": "Its text names bucket and key; `--log-file` has the whole story.",
    "ObjectNotFoundError": "Check the prefix: upper and lower case differ. `s3bids ls` shows what there is.",
    "BucketNotFoundError": "Check the bucket's name and `--endpoint-url`.",
    "AccessDeniedError": "A private bucket needs `--sign` or `--profile`; some need `--request-payer`.",
    "StorageConnectionError": "It was tried again already. Check the network, then run the same command again.",
    "StorageUnavailableError": "The server was waited for already. Run the same command again later.",
    "ObjectChangedError": "Somebody wrote the object meanwhile. Run the same command again.",
    "RangeNotServedError": "Read the object whole.",
    "KeyRefusedError": "The key leads out of the directory, or cannot be a file name here. Nothing was written for it.",
    "KeyClashError": "A file is where a directory must be: choose another key, or remove the file.",
    "ArchiveError": "The text names the member or the damage: get the archive again, or pack it again.",
    "TableError": "The text names the object, and what it lacks: check the columns that you asked for.",
    "VerificationError": "The bytes are not those of the listing, several times over: ask who runs the server.",
    "DestinationError": "Choose another directory, or mend its permissions.",
    "ImageError": "The file is damaged, no image, or of another format than its name says: get it again.",
    "JSONReadError": "The text names the object, and line and column where it stops to be JSON: mend it there.",
    "JSONWriteError": "The text names the place in the document: put something there that JSON can express.",
    "DownloadError": "`.failures` lists each file with its reason. Run again to fetch what is missing.",
    "SubjectNotFoundError": "The text names the nearest ids; `s3bids ls STUDY` lists all.",
    "ParticipantsError": "The text names the line of the table to correct.",
    "MissingPackageError": "Run the `pip install` that the text names.",
    "ConfigError": "The text names file, line and key, or the argument, and what is allowed.",
}


def errors_page() -> str:
    """Give the page of errors: the tree, and a row for each."""
    tree = errors.__doc__.partition("::\n\n")[2].partition("\n\nEvery text")[0]
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.S3BIDSError)]
    rows = [f"| `{kind.__name__}` | {_built_in(kind)} | {_first_line(kind)} | {_next_step(kind)} |" for kind in kinds]
    return (
        f"# Errors\n\n{NOTE}Every error is one of this tree, and many are a built-in one too, so that code which "
        "catches `OSError` or `ValueError` goes on working. Each text names the operation, the bucket and key or the "
        "path, the cause, and what to do next. On the command line an error is one sentence and an exit code.\n\n"
        f"```text\n{textwrap.dedent(tree)}\n```\n\n"
        "| error | is also | what it says | what to do |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"
    )


def _built_in(kind: type) -> str:
    found = [base.__name__ for base in kind.__mro__ if hasattr(builtins, base.__name__)]
    named = [name for name in found if name not in ("Exception", "BaseException", "object")]
    return f"`{named[0]}`" if named else ""


def _first_line(kind: type) -> str:
    return (kind.__doc__ or "").partition("\n")[0]


def _next_step(kind: type) -> str:
    return NEXT_STEPS.get(kind.__name__) or _next_step(kind.__mro__[1])


def command_line_page() -> str:
    """Give the page of the command line: the help of the program and of each command."""
    parts = [f"# Command line\n\n{NOTE}", _help()]
    parts += [f"## s3bids {name}\n\n{_help(name)}" for name in COMMANDS]
    return "".join(parts) + COMPLETION


def _help(*words: str) -> str:
    """Give what the program itself prints, on a terminal of 100 columns."""
    command = [Path(sys.executable).with_name("s3bids"), *words, "--help"]
    environment = {"PATH": os.defpath, "COLUMNS": "100", "PYTHONUTF8": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return f"```text\n{done.stdout.rstrip()}\n```\n\n"


COMPLETION = """## Completion

Commands and options are completed by the Tab key once the shell has been told how. For bash, put this line into
`~/.bashrc`:

```bash
eval "$(_S3BIDS_COMPLETE=bash_source s3bids)"
```

For zsh, the same with `zsh_source` into `~/.zshrc`; for fish, `_S3BIDS_COMPLETE=fish_source s3bids | source` into
`~/.config/fish/completions/s3bids.fish`.
"""


#: Keys whose default the file does not say as a value, and what happens without them.
WITHOUT = {
    "extends": "nothing is taken over",
    "name": "the file's name",
    "bucket": "must be there, or in the extended file",
    "site": "none",
    "layout": "`nested`",
    "local_root": "S3",
    "region": "what AWS tools would take",
    "endpoint_url": "AWS, or what the environment says",
    "profile": "none",
    "random_seed": "sorted order; a sample is drawn with 0",
    "where": "everybody",
    "sample": "everybody",
    "balance": "no balance",
    "suffix": "every file",
    "filters": "every file",
    "include": "every file",
    "keys": "every file",
    "sidecars": "`true` if something is chosen",
    "destination": "the name, in the working directory",
    "jobs": "1, or what `joblib.parallel_config` says",
}


def study_files_page() -> str:
    """Give the page of the keys of study files: what each holds, its types and default, and a shipped file."""
    shipped = (ROOT / "studies" / "hbn-si.yaml").read_text(encoding="utf-8")
    properties = study_schema()["properties"]
    rows = "\n".join(
        f"| `{key}` | {text} | {_types(properties[key])} | {_default(key)} |" for key, text in ALLOWED.items()
    )
    return (
        f"# Keys of study files\n\n{NOTE}[Study files](../study-files.md) shows how they are used. "
        "`s3bids studies --schema` prints the JSON Schema that this table is made of. `null` stands for the default of "
        "every key.\n\n"
        f"| key | what it may hold | in YAML | without it |\n|---|---|---|---|\n{rows}\n\n"
        f"One that comes with s3bids:\n\n```yaml\n{shipped}```\n"
    )


#: Type of a JSON Schema -> what it is called in YAML.
YAML_TYPES = {
    "string": "text",
    "integer": "number",
    "boolean": "true, false",
    "array": "list",
    "object": "mapping",
}


def _types(schema: dict[str, Any]) -> str:
    """Name the types of a key; `${NAME}` is allowed for all of them, and so is a fraction where text is."""
    is_variable = [kind.get("pattern", "").startswith(r"\$") for kind in schema["anyOf"]]
    kinds = [
        kind
        for kind, is_left_out in zip(schema["anyOf"], is_variable, strict=True)
        if not is_left_out and kind.get("type") not in ("null", "number")
    ]
    found = [", ".join(map(str, kind["enum"])) if "enum" in kind else YAML_TYPES[kind["type"]] for kind in kinds]
    return ", ".join(dict.fromkeys(found))


def _default(key: str) -> str:
    if key in WITHOUT:
        return WITHOUT[key]
    [field] = (each for each in fields(StudyConfig) if each.name == ("study_class" if key == "class" else key))
    if field.default in ((), ""):
        return "none" if field.default == () else "empty"
    return f"`{json.dumps(field.default)}`" if isinstance(field.default, bool) else f"`{field.default}`"


def performance_page() -> str:
    """Give the page of measured times, out of the file that the benchmarks keep."""
    measured = (ROOT / "benchmarks" / "results.md").read_text(encoding="utf-8").removeprefix("# Measured\n")
    return (
        f"# Performance\n\n{NOTE}What was measured, and how to measure again: `make bench` compares with s5cmd "
        "and with s3bids 0.1.7 on one machine, from a cold start, with a server on the same machine.\n"
        f"{measured}"
    )


PAGES = {
    "reference/errors.md": errors_page,
    "reference/command-line.md": command_line_page,
    "reference/study-files.md": study_files_page,
    "performance.md": performance_page,
}


def main() -> None:
    """Write the pages."""
    for name, make in PAGES.items():
        (DOCS / name).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main()
