"""Cohorts: the rows of a participant table that a query chooses, and groups of subjects by a column.

The language is that of ``pandas.DataFrame.query``, and pandas evaluates it. But pandas would also evaluate calls,
attributes and variables of the program, so it never sees what a user wrote: the text is parsed here, only what the
table below names is let through, and pandas gets a text made from that, with columns and constants by numbers.

=================================  =============================================
comparisons                        ``== != < <= > >=``, also in chains
membership                         ``in`` and ``not in`` with a list of constants
``and or not``, ``& | ~``          with parentheses; both ways bind alike
``+ - * /``                        of numbers
methods of a column                ``isna notna isin between``
names                              columns; in backticks where they are no words
=================================  =============================================

Cells that are empty or ``n/a`` are missing. As in pandas, a missing value equals nothing: ``sex != 'F'`` holds for it.
"""

from __future__ import annotations

import ast
import difflib
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..errors import ConfigError
from .names import subject_label

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd

    from .participants import Participants

#: Longest query; no cohort needs more, and a parser can be made to work hard.
MOST_CHARACTERS = 2000
#: Deepest nesting.
MOST_LEVELS = 30

_MISSING = ("", "n/a")
#: Other ways to write it, which may be words in a column of text.
_MISSING_NUMBERS = (*_MISSING, "N/A", "NA", "NaN", "nan")
_NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9][0-9]{0,14})(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_TOKENS = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`([^`]*)`|(?<![&|])[&|](?![&|])|~""")
_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_METHODS = ("isna", "notna", "isin", "between")
_MOST_SHOWN = 200

_Type = Literal["number", "text", "unknown"]


@dataclass(frozen=True)
class Column:
    """One column with the type that its cells have."""

    name: str
    #: Missing cells are None.
    cells: tuple[float | str | None, ...]
    type: _Type
    #: A cell that keeps the column from being one of numbers.
    why_text: str = ""


def typed_column(name: str, cells: Iterable[str]) -> Column:
    """Read a column as numbers if all its cells are numbers or missing, else as text.

    A number with a zero in front, such as 007, is text, and so is one of more than 15 digits.

    >>> typed_column("age", ["8", "n/a", "9.5"]).cells, typed_column("site", ["01", "02"]).cells
    ((8.0, None, 9.5), ('01', '02'))
    """
    values = tuple(cells)
    why = next((v for v in values if v.strip() not in _MISSING_NUMBERS and not _NUMBER.fullmatch(v.strip())), None)
    if why is not None:
        return Column(name, tuple(None if v.strip() in _MISSING else v for v in values), "text", why)
    numbers = tuple(None if v.strip() in _MISSING_NUMBERS else float(v) for v in values)
    return Column(name, numbers, "number" if any(number is not None for number in numbers) else "unknown")


def query_ids(table: Participants, where: str, *, source: str) -> list[str]:
    r"""Give the subjects whose rows a query chooses, in the order of the table.

    Parameters
    ----------
    table
        The participant table.
    where
        The query, such as ``"age >= 8 and sex == 'F'"``.
    source
        What errors call the table.

    Raises
    ------
    ConfigError
        If the query is none, names no column of the table (the text lists them), compares numbers with text, or holds
        what is not allowed.

    Examples
    --------
    >>> from s3bids.bids.participants import parse_participants
    >>> table = parse_participants(b"participant_id\tage\n01\t7\n02\t9\n03\tn/a\n", source="t")
    >>> query_ids(table, "age >= 8", source="t")
    ['sub-02']
    """
    tree, columns = _parsed(where)
    writer = _Writer(table, columns, where, source)
    text = writer.condition(tree)
    # What pandas gives may be of many types; of this text it is a column of True and False.
    mask: Any = _frame(writer.used).eval(text, engine="python", parser="pandas", local_dict=writer.constants)
    return [subject for subject, chosen in zip(table.ids, mask.tolist(), strict=True) if chosen is True]


def _frame(columns: Mapping[str, Column]) -> pd.DataFrame:
    import pandas as pd

    # Objects, since the types of texts differ between the versions of pandas; missing numbers become NaN.
    types = {key: "object" if column.type == "text" else "float64" for key, column in columns.items()}
    return pd.DataFrame({key: pd.Series(column.cells, dtype=types[key]) for key, column in columns.items()})


def _shown(where: str) -> str:
    return repr(where if len(where) <= _MOST_SHOWN else f"{where[:_MOST_SHOWN]}...")


def check_query(where: object) -> str:
    """Refuse what cannot be a query, before the table is there.

    Raises
    ------
    TypeError
        If it is no text.
    ConfigError
        If it cannot be parsed.
    """
    if not isinstance(where, str):
        raise TypeError(f"where must be text such as \"age >= 8 and sex == 'F'\", not {type(where).__name__}")
    _parsed(where)
    return where


def group_by(table: Participants, column: str, ids: Iterable[str], *, source: str) -> dict[str, list[str]]:
    """Group subjects by a column of the table: value -> ids, both sorted. Those whose value is missing are left out.

    Raises
    ------
    ConfigError
        If there is no such column, or no subject has a value in it.
    """
    position = _position(table, column, source)
    wanted = set(ids)
    groups: dict[str, list[str]] = {}
    for subject, row in zip(table.ids, table.rows, strict=True):
        value = row[position].strip()
        if subject in wanted and value not in _MISSING:
            groups.setdefault(value, []).append(subject)
    if not groups:
        raise ConfigError(f"cannot balance by {column!r}: no chosen subject has a value in this column of {source}")
    return {value: sorted(groups[value]) for value in sorted(groups)}


def _position(table: Participants, name: str, source: str) -> int:
    found = [number for number, column in enumerate(table.columns) if column.strip() == name]
    if not found:
        near = difflib.get_close_matches(name, table.columns, 3, 0.5)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise ConfigError(f"{source} has no column {name!r}; {hint}it has {', '.join(table.columns)}")
    if len(found) > 1:
        raise ConfigError(f"{source} has {len(found)} columns {name!r}, so it is not clear which is meant")
    return found[0]


def _parsed(where: str) -> tuple[ast.expr, dict[str, str]]:
    """Parse a query; columns in backticks get names that Python takes: name -> column."""
    if len(where) > MOST_CHARACTERS:
        raise ConfigError(f"the query has {len(where)} characters, and {MOST_CHARACTERS} are the most")
    quoted: dict[str, str] = {}

    def replaced(match: re.Match[str]) -> str:
        text = match[0]
        if text in ("&", "|"):
            return " and " if text == "&" else " or "
        if text == "~":
            return " not "
        if text[0] != "`":
            return text
        name = f"_column_{len(quoted)}_"
        quoted[name] = match[1]
        return f" {name} "

    text = " ".join(_TOKENS.sub(replaced, where).split("\n")).strip()
    try:
        with warnings.catch_warnings():
            # An escape in a text that Python does not know is left as it is, and is nobody's business.
            warnings.simplefilter("ignore")
            tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        why = getattr(error, "msg", None) or "it cannot be parsed"
        raise ConfigError(
            f"the query {_shown(where)} makes no sense: {why}; write it like \"age >= 8 and sex == 'F'\", with == for "
            "equality, texts in quotes, and columns that are no words in `backticks`"
        ) from error
    if _depth(tree) > MOST_LEVELS:
        raise ConfigError(f"the query {_shown(where)} is nested more than {MOST_LEVELS} deep; write it more simply")
    return tree, quoted


def _depth(tree: ast.AST) -> int:
    level, depth = [tree], 0
    while level:
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        depth += 1
    return depth


class _Writer:
    """Writes a query for pandas out of the parts of a parsed one that are allowed."""

    def __init__(self, table: Participants, quoted: Mapping[str, str], where: str, source: str) -> None:
        self.table = table
        self.quoted = quoted
        self.where = where
        self.source = source
        #: Our name -> column, for those that the query uses.
        self.used: dict[str, Column] = {}
        self.constants: dict[str, Any] = {}

    def condition(self, node: ast.expr) -> str:
        """Write what is true or false."""
        if isinstance(node, ast.BoolOp):
            word = " and " if isinstance(node.op, ast.And) else " or "
            return f"({word.join(map(self.condition, node.values))})"
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return f"(not {self.condition(node.operand)})"
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            pairs = zip(sides, node.ops, sides[1:], strict=False)
            return f"({' and '.join(self.comparison(*pair) for pair in pairs)})"
        if isinstance(node, ast.Call):
            return self.method(node)
        raise self.error(node, "it is no condition")

    def comparison(self, left: ast.expr, operator: ast.cmpop, right: ast.expr) -> str:
        if isinstance(operator, ast.In | ast.NotIn):
            one, kind = self.value(left)
            word = "in" if isinstance(operator, ast.In) else "not in"
            members = self.members(right, left, kind)
            if self.is_id(left):
                self.complete_ids(members)
            return f"({one} {word} {members})"
        symbol = _COMPARISONS.get(type(operator))
        if symbol is None:
            raise self.error(left, "'is' is not allowed; write == or !=")
        (one, kind), (other, other_kind) = self.value(left), self.value(right)
        if not self.names_column(left) and not self.names_column(right):
            raise self.error(left, "it compares two constants; name a column")
        self.check_types((left, kind), (right, other_kind))
        if self.is_id(left) or self.is_id(right):
            self.complete_ids(one, other)
        if symbol in ("==", "!=") or "text" not in (kind, other_kind):
            return f"({one} {symbol} {other})"
        # Missing texts have no order, and pandas would stumble over them.
        sides = [text for text in (one, other) if not text.startswith("@")]
        present = " and ".join(f"{text}.notna()" for text in sides)
        one, other = (f"{text}.fillna('')" if text in sides else text for text in (one, other))
        return f"({present} and ({one} {symbol} {other}))"

    def is_id(self, node: ast.expr) -> bool:
        name = self.quoted.get(node.id, node.id) if isinstance(node, ast.Name) else None
        return name == self.table.id_column

    def complete_ids(self, *texts: str) -> None:
        """Let ``01`` stand for ``sub-01`` in what an id is compared with."""
        for key in (text[1:] for text in texts if text.startswith("@")):
            value = self.constants[key]
            self.constants[key] = [subject_label(v) for v in value] if isinstance(value, list) else subject_label(value)

    def value(self, node: ast.expr) -> tuple[str, _Type]:
        """Write a column, a constant, or a calculation, and say what type it has."""
        if isinstance(node, ast.Name):
            return self.column(node.id)
        if isinstance(node, ast.Constant) and type(node.value) in (str, int, float):
            return self.constant(node.value)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            text = self.number(node.operand)
            return f"({'-' if isinstance(node.op, ast.USub) else '+'}{text})", "number"
        if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
            return f"({self.number(node.left)} {_ARITHMETIC[type(node.op)]} {self.number(node.right)})", "number"
        raise self.error(node, "it is not allowed here")

    def number(self, node: ast.expr) -> str:
        text, kind = self.value(node)
        if kind == "text":
            raise self.error(node, "only numbers can be calculated with")
        return text

    def column(self, name: str) -> tuple[str, _Type]:
        column = self.quoted.get(name, name)
        position = _position(self.table, column, self.source)
        key = f"c{position}"
        if key not in self.used:
            is_id = self.table.columns[position] == self.table.id_column
            cells = self.table.ids if is_id else [row[position] for row in self.table.rows]
            self.used[key] = typed_column(column, cells)
        return key, self.used[key].type

    def constant(self, value: Any) -> tuple[str, _Type]:
        key = f"k{len(self.constants)}"
        self.constants[key] = float(value) if isinstance(value, int) and abs(value) < 2**53 else value
        return f"@{key}", "text" if isinstance(value, str) else "number"

    def members(self, node: ast.expr, column: ast.expr, kind: _Type) -> str:
        if not isinstance(node, ast.List | ast.Tuple | ast.Set) or not node.elts:
            raise self.error(node, "'in' needs a list of constants, such as ['F', 'M']")
        values = []
        for item in node.elts:
            text, item_kind = self.value(item)
            if not text.startswith("@"):
                raise self.error(item, "the list of 'in' holds constants only")
            self.check_types((column, kind), (item, item_kind))
            values.append(self.constants.pop(text[1:]))
        key = f"k{len(self.constants)}"
        self.constants[key] = values
        return f"@{key}"

    def method(self, node: ast.Call) -> str:
        function = node.func
        if not isinstance(function, ast.Attribute) or not isinstance(function.value, ast.Name) or node.keywords:
            raise self.error(node, "calls are not allowed")
        if function.attr not in _METHODS:
            raise self.error(node, f"of a column's methods only {', '.join(_METHODS)} are allowed")
        name, _ = self.value(function.value)
        if function.attr in ("isna", "notna") and not node.args:
            return f"{name}.{function.attr}()"
        if function.attr == "isin" and len(node.args) == 1:
            return self.comparison(function.value, ast.In(), node.args[0])
        if function.attr == "between" and len(node.args) == 2:
            low, high = (self.comparison(*pair) for pair in _bounds(function.value, node.args))
            return f"({low} and {high})"
        raise self.error(node, "the arguments of the method are wrong")

    def names_column(self, node: ast.expr) -> bool:
        return any(isinstance(part, ast.Name) for part in ast.walk(node))

    def check_types(self, *sides: tuple[ast.expr, _Type]) -> None:
        if {kind for _, kind in sides} != {"number", "text"}:
            return
        for node, kind in sides:
            if isinstance(node, ast.Name):
                column = self.used[self.column(node.id)[0]]
                is_text = kind == "text"
                found = f"text, such as {column.why_text!r}" if is_text else "numbers"
                advice = "compare it with a text in quotes" if is_text else "compare it with a number, without quotes"
                raise self.error(node, f"the column {column.name!r} holds {found}; {advice}")
        raise self.error(sides[0][0], "it compares a number with a text")

    def error(self, node: ast.AST, why: str) -> ConfigError:
        part = ast.unparse(node)
        for name, column in self.quoted.items():
            part = part.replace(name, f"`{column}`")
        return ConfigError(f"the query {_shown(self.where)} cannot be used, at {part}: {why}")


def _bounds(column: ast.expr, arguments: list[ast.expr]) -> tuple[tuple[ast.expr, ast.cmpop, ast.expr], ...]:
    return (column, ast.GtE(), arguments[0]), (column, ast.LtE(), arguments[1])
