"""The rooms of the package and what each may know: read from the sources, not from good intentions."""

from __future__ import annotations

import ast
import builtins
import re
import subprocess
import sys
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import s3bids
from s3bids import errors

PACKAGE = Path(s3bids.__file__).parent

#: Module or subpackage directly below the package -> its room. The package's own names are one room, ``root``.
ROOM_OF = {
    "": "root",
    "errors": "errors",
    "display": "display",
    "storage": "storage",
    "bids": "bids",
    "catalog": "catalog",
    "selection": "selection",
    "choice": "selection",
    "choosing": "selection",
    "transfer": "transfer",
    "neuro": "neuro",
    **dict.fromkeys(
        (
            *("study", "listed_study", "subject", "dataset", "downloading", "branches", "retry_failed", "verification"),
            *("bringing", "viewed_study", "loading", "header_table", "narrowing", "finishing", "trimming", "overview"),
            *("hbn", "openneuro", "legacy", "utils"),
        ),
        "study",
    ),
    "config": "config",
    "batch": "batch",
    "report": "report",
    "cli": "cli",
    "__main__": "cli",
    "testing": "testing",
}

_BELOW_REPORT = {"errors", "display", "storage", "bids", "catalog", "selection", "transfer", "neuro"}
#: Studies draw and show themselves, so a report is made of catalogs and manifests and knows no study.
_BELOW_STUDY = {*_BELOW_REPORT, "report"}
#: Room -> the rooms that it may import, besides itself.
MAY_IMPORT = {
    "root": set(),
    "errors": set(),
    "display": set(),
    "storage": {"errors"},
    "bids": {"errors"},
    "catalog": {"errors", "storage", "bids"},
    "selection": {"errors", "bids", "catalog"},
    "transfer": {"errors", "display", "storage"},
    "neuro": {"errors", "storage"},
    "study": {*_BELOW_STUDY, "root"},
    "config": {*_BELOW_STUDY, "study", "root"},
    "batch": {*_BELOW_STUDY, "study", "config", "root"},
    "report": {*_BELOW_REPORT, "root"},
    "cli": {*_BELOW_STUDY, "study", "config", "batch", "root"},
    "testing": {"errors", "storage", "bids"},
}
#: The one module outside `testing` that may import it.
USER_OF_TESTING = "cli.demo"

MOST_LINES = 400
#: Longer modules, and why each is one module.
LONG_MODULES: dict[str, str] = {}

FORBIDDEN_NAMES = {"helpers", "common", "manager"}
READS_ENVIRONMENT = "storage.params"

HEAVY = [
    "boto3", "botocore", "s3fs", "obstore", "nibabel", "indexed_gzip", "numpy", "pandas", "joblib", "tqdm", "pydantic",
    "yaml", "bidsschematools", "jinja2", "matplotlib", "PIL", "pyarrow",
]  # fmt: skip


@dataclass(frozen=True)
class Module:
    """One source file."""

    #: Name below the package, such as ``storage.base``; a subpackage goes by its own name, the package by ``""``.
    name: str
    path: Path
    tree: ast.Module
    lines: int

    @property
    def package(self) -> str:
        """The name that relative imports start from."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]

    @property
    def room(self) -> str | None:
        return ROOM_OF.get(self.name.partition(".")[0])


def read_modules(root):
    """Parse every source file below a package's folder: name -> module."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = path.read_text(encoding="utf-8")
        found[name] = Module(name, path, ast.parse(text, str(path)), len(text.splitlines()))
    return found


def runtime_nodes(node):
    """Yield all nodes of a tree but those that only a type checker reads."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for other in child.orelse:
                yield other
                yield from runtime_nodes(other)
            continue
        yield child
        yield from runtime_nodes(child)


def imported(module, modules, package_name):
    """Give the modules of the package that one imports at run time, at any depth of its code."""
    found = set()
    for node in runtime_nodes(module.tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.partition(".")[0] == package_name]
            found |= {nearest(name.partition(".")[2], modules) for name in names}
        elif isinstance(node, ast.ImportFrom):
            base = base_of(node, module, package_name)
            if base is not None:
                found |= {nearest(f"{base}.{alias.name}".strip("."), modules) for alias in node.names}
    return found - {module.name}


def base_of(node, module, package_name):
    """Give the module that ``from base import ...`` names; None if it is of another package."""
    if node.level == 0:
        top, _, rest = node.module.partition(".")
        return rest if top == package_name else None
    parts = module.package.split(".") if module.package else []
    kept = parts[: len(parts) - (node.level - 1)]
    return ".".join([*kept, *(node.module.split(".") if node.module else [])])


def nearest(name, modules):
    """Give the module of a dotted name, which may go on to something inside it."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name


def wrong_edges(modules, package_name):
    """List the imports that go against the direction of the rooms."""
    wrong = []
    for module in modules.values():
        for target in sorted(imported(module, modules, package_name)):
            if not may_import(module, modules[target]):
                wrong.append(f"{module.name or package_name} imports {target or package_name}")
    return wrong


def may_import(module, target):
    if target.room == "testing" and module.room != "testing":
        return module.name == USER_OF_TESTING
    return module.room == target.room or target.room in MAY_IMPORT.get(module.room, set())


def find_cycle(modules, package_name):
    """Give a circle of imports, the empty list if there is none."""
    graph = {name: imported(module, modules, package_name) for name, module in modules.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def misuses(module):
    """List what a module does that belongs elsewhere, or nowhere: ``line: what``."""
    found = []
    imported_names = {}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            imported_names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for node in ast.walk(module.tree):
        what = misuse(node, module, imported_names)
        if what:
            found.append(f"{module.name}:{node.lineno}: {what}")
    return found


def misuse(node, module, imported_names):
    in_cli = module.room == "cli"
    if isinstance(node, ast.Call):
        called = full_name(node.func, imported_names)
        if called == "print" and not in_cli:
            return "print"
        if called == "logging.basicConfig" and not in_cli:
            return "sets up logging"
        if is_hash_for_security(called, node):
            return f"{called} without usedforsecurity=False"
    if isinstance(node, ast.Name | ast.Attribute):
        name = full_name(node, imported_names)
        if name in ("os.environ", "os.environb", "os.getenv") and module.name != READS_ENVIRONMENT:
            return name
        if name == "sys.argv" and not in_cli:
            return name
        if name == "NotImplementedError":
            return name
    return None


def full_name(node, imported_names):
    """Give a dotted name as written, with names from ``from x import y`` spelt out."""
    text = ast.unparse(node)
    head, dot, rest = text.partition(".")
    return imported_names.get(head, head) + dot + rest


def is_hash_for_security(called, node):
    if called == "hashlib.new":
        first = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else "unknown"
        weak = first in ("md5", "sha1", "unknown")
    else:
        weak = called in ("hashlib.md5", "hashlib.sha1")
    said = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    return weak and said.get("usedforsecurity") != "False"


def bad_sizes(modules, root, exceptions):
    """List modules that are too long without a reason, and reasons that no module needs any more."""
    lengths = {module.path.relative_to(root).as_posix(): module.lines for module in modules.values()}
    too_long = {name for name, lines in lengths.items() if lines > MOST_LINES}
    return sorted(too_long ^ exceptions.keys())


def bad_names(modules):
    return sorted(name for name in modules if set(name.split(".")) & FORBIDDEN_NAMES)


# The package


@pytest.fixture(scope="module")
def modules():
    return read_modules(PACKAGE)


def test_every_module_belongs_to_a_room(modules):
    assert [name for name, module in modules.items() if module.room is None] == []


def test_imports_go_one_way(modules):
    assert wrong_edges(modules, "s3bids") == []


def test_no_circle_of_imports(modules):
    assert find_cycle(modules, "s3bids") == []


def test_print_environment_and_weak_hashes_stay_in_their_rooms(modules):
    assert [found for module in modules.values() for found in misuses(module)] == []


def test_no_module_is_too_long_without_a_reason(modules):
    assert bad_sizes(modules, PACKAGE, LONG_MODULES) == []


def test_no_module_has_a_name_that_says_nothing(modules):
    assert bad_names(modules) == []


def test_the_imports_that_hold_the_package_together_are_seen(modules):
    """If the reader of imports went blind, all tests above would pass."""
    assert "transfer.fetch" in imported(modules["transfer.pool"], modules, "s3bids")
    assert "bids.schema" in imported(modules["bids.names"], modules, "s3bids")
    assert "storage.files" in imported(modules["transfer.engine"], modules, "s3bids")
    assert "catalog" not in imported(modules["selection"], modules, "s3bids"), "it is there for type checkers only"


@pytest.mark.parametrize(
    "name", ["s3bids", "s3bids.utils", "s3bids.storage", "s3bids.study", "s3bids.loading", "s3bids.header_table"]
)
def test_an_import_loads_nothing_heavy(name, tmp_path):
    code = f"import {name}, sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    loaded = {module.partition(".")[0] for module in run.stdout.split()}
    assert "s3bids" in loaded
    assert loaded & set(HEAVY) == set()
    assert run.stderr == ""


def test_the_heavy_packages_are_named_as_they_are_imported(tmp_path):
    code = f"import importlib\nfor name in {HEAVY!r}: importlib.import_module(name)"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


# The tree of errors


def drawn_tree(text):
    """Read the tree of a docstring: class -> (parent, the built-in bases named in parentheses)."""
    found = {}
    above = []
    for line in text.splitlines():
        match = re.match(r" {4}(?P<indent>[│ ├└─]*)(?P<name>\w+Error)\b\s*(?:\((?P<bases>[\w, ]+)\))?", line)
        if match is None:
            continue
        depth = len(match["indent"]) // 4
        del above[depth:]
        bases = set(re.findall(r"\w+", match["bases"] or ""))
        found[match["name"]] = (above[-1] if above else None, bases)
        above.append(match["name"])
    return found


def real_tree(module):
    found = {}
    for name, kind in vars(module).items():
        if isinstance(kind, type) and issubclass(kind, module.S3BIDSError):
            ours = [base.__name__ for base in kind.__bases__ if issubclass(base, module.S3BIDSError)]
            others = {base.__name__ for base in kind.__bases__ if not issubclass(base, module.S3BIDSError)}
            found[name] = (ours[0] if ours else None, others - {"Exception"})
            assert len(ours) <= 1
    return found


def test_the_tree_of_errors_is_drawn_as_it_is():
    assert drawn_tree(errors.__doc__) == real_tree(errors)


def test_every_error_says_what_it_is():
    for name in real_tree(errors):
        assert getattr(errors, name).__doc__
        assert name not in vars(builtins)


# The tests above can fail


def write_tree(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for folder in {path.parent for path in root.rglob("*.py")}:
        (folder / "__init__.py").touch()
    return read_modules(root)


@pytest.mark.parametrize(
    ("name", "text", "edge"),
    [
        ("storage/s3.py", "from ..bids.names import parse", "storage.s3 imports bids.names"),
        ("storage/s3.py", "from ..bids import names", "storage.s3 imports bids.names"),
        ("bids/names.py", "from p.storage.base import Storage", "bids.names imports storage.base"),
        ("bids/names.py", "import p.storage.base as base", "bids.names imports storage.base"),
        ("errors.py", "from .storage import base", "errors imports storage.base"),
        ("transfer/engine.py", "from ..catalog import Catalog", "transfer.engine imports catalog"),
        ("transfer/engine.py", "def f():\n    from ..selection import select", "transfer.engine imports selection"),
        ("neuro/json.py", "from ..bids.names import parse", "neuro.json imports bids.names"),
        ("catalog.py", "from .selection import select", "catalog imports selection"),
        ("study.py", "from .config import load", "study imports config"),
        ("study.py", "from .testing.studies import write", "study imports testing.studies"),
        ("cli/ls.py", "from ..testing.studies import write", "cli.ls imports testing.studies"),
        ("report/page.py", "from ..batch.shards import cut", "report.page imports batch.shards"),
        ("batch/shards.py", "from ..cli.ls import show", "batch.shards imports cli.ls"),
        ("study.py", "if TYPE_CHECKING:\n    pass\nelse:\n    from .cli.ls import show", "study imports cli.ls"),
        ("storage/s3.py", "from .. import VERSION", "storage.s3 imports p"),
        ("extra.py", "from .errors import E", "extra imports errors"),
    ],
)
def test_an_import_the_other_way_is_found(tmp_path, name, text, edge):
    empty = (
        "errors catalog selection study config storage/base storage/s3 bids/names neuro/json transfer/engine "
        "testing/studies cli/ls report/page batch/shards"
    )
    modules = write_tree(tmp_path, {f"{module}.py": "" for module in empty.split()} | {name: text})
    assert wrong_edges(modules, "p") == [edge]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cli/demo.py", "from ..testing.studies import write"),
        ("storage/s3.py", "if TYPE_CHECKING:\n    from ..bids.names import parse"),
        ("storage/s3.py", "if typing.TYPE_CHECKING:\n    from ..bids.names import parse"),
        ("selection.py", "from .catalog import Catalog"),
        ("study.py", "from .neuro.json import write_json"),
        ("storage/s3.py", "from bids.names import parse"),
    ],
)
def test_an_import_the_right_way_is_not(tmp_path, name, text):
    files = dict.fromkeys(("catalog.py", "bids/names.py", "neuro/json.py", "testing/studies.py"), "")
    assert wrong_edges(write_tree(tmp_path, files | {name: text}), "p") == []


def test_a_circle_is_found_at_any_depth(tmp_path):
    files = {
        "storage/a.py": "from .b import x",
        "storage/b.py": "def f():\n    from . import c",
        "storage/c.py": "from p.storage.a import y",
    }
    circle = find_cycle(write_tree(tmp_path, files), "p")
    assert set(circle) == {"storage.a", "storage.b", "storage.c"}


def test_a_circle_for_type_checkers_only_is_none(tmp_path):
    files = {"storage/a.py": "from .b import x", "storage/b.py": "if TYPE_CHECKING:\n    from .a import y"}
    assert find_cycle(write_tree(tmp_path, files), "p") == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("print('x')", "print"),
        ("import os\nos.environ['X']", "os.environ"),
        ("import os\nos.environ.get('X')", "os.environ"),
        ("import os\nos.getenv('X')", "os.getenv"),
        ("from os import environ\nenviron.get('X')", "os.environ"),
        ("from os import getenv as ask\nask('X')", "os.getenv"),
        ("import sys\nsys.argv", "sys.argv"),
        ("import logging\nlogging.basicConfig()", "sets up logging"),
        ("import hashlib\nhashlib.md5()", "hashlib.md5 without usedforsecurity=False"),
        ("import hashlib\nhashlib.sha1(b'', usedforsecurity=True)", "hashlib.sha1 without usedforsecurity=False"),
        ("import hashlib\nhashlib.new('md5')", "hashlib.new without usedforsecurity=False"),
        ("import hashlib\nhashlib.new(name)", "hashlib.new without usedforsecurity=False"),
        ("from hashlib import md5\nmd5()", "hashlib.md5 without usedforsecurity=False"),
        ("def f():\n    raise NotImplementedError", "NotImplementedError"),
        ("def f():\n    raise NotImplementedError('later')", "NotImplementedError"),
    ],
)
def test_a_misuse_is_found(tmp_path, text, what):
    modules = write_tree(tmp_path, {"study.py": text})
    assert [found.rpartition(": ")[2] for found in misuses(modules["study"])] == [what]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cli/ls.py", "import sys\nprint(sys.argv)"),
        ("storage/params.py", "import os\nos.environ.get('X')"),
        ("study.py", "import hashlib\nhashlib.md5(usedforsecurity=False)\nhashlib.sha256()\nhashlib.new('sha256')"),
        ("study.py", "bar.print()"),
        ("study.py", "def f():\n    return NotImplemented"),
    ],
)
def test_what_is_in_its_room_is_no_misuse(tmp_path, name, text):
    modules = write_tree(tmp_path, {name: text})
    assert [found for module in modules.values() for found in misuses(module)] == []


def test_long_modules_and_stale_exceptions_are_found(tmp_path):
    files = {"long.py": "\n" * 401, "short.py": "\n" * 400, "known.py": "\n" * 500}
    modules = write_tree(tmp_path, files)
    assert bad_sizes(modules, tmp_path, {"known.py": "x"}) == ["long.py"]
    assert bad_sizes(modules, tmp_path, {"known.py": "x", "long.py": "x", "short.py": "x"}) == ["short.py"]


@pytest.mark.parametrize("name", ["helpers.py", "storage/common.py", "manager/x.py"])
def test_empty_names_are_found(tmp_path, name):
    assert bad_names(write_tree(tmp_path, {name: "", "study.py": ""})) != []


def test_an_error_that_is_not_drawn_or_drawn_elsewhere_is_found():
    tree = drawn_tree(errors.__doc__)
    assert tree["BucketNotFoundError"] == ("ObjectNotFoundError", set())
    assert tree["KeyRefusedError"] == ("StorageError", {"ValueError"})
    moved = errors.__doc__.replace("│   │   └── BucketNotFoundError", "│   └── BucketNotFoundError")
    assert drawn_tree(moved)["BucketNotFoundError"] == ("StorageError", set())
    assert drawn_tree(errors.__doc__.replace("ImageError", "PictureError")) != real_tree(errors)
