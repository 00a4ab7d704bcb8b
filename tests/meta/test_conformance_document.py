"""docs/conformance.md says of every requirement what shows it, and is true."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.meta.conftest import Project

REQUIREMENTS: Final = [f"R{number:03}" for number in range(1, 381)]
STATES: Final = ("shown", "partly", "open", "not applicable")
SHOWN: Final = frozenset({"shown", "partly"})

CELLS: Final = re.compile(r"(?<!\\)\|")
TEST: Final = re.compile(r"`(tests/[\w/.-]+\.py::\w+(?:::\w+)?)`")


@dataclass(frozen=True)
class Row:
    """One line of the document's tables."""

    line: int
    id: str
    requirement: str
    state: str
    shown_by: str

    @property
    def tests(self) -> list[str]:
        return TEST.findall(self.shown_by)


def rows(document: str) -> Iterator[Row]:
    """The rows of all tables whose first cell is a requirement's number."""
    for number, line in enumerate(document.splitlines(), start=1):
        cells = [cell.strip() for cell in CELLS.split(line)]
        if len(cells) > 2 and not cells[0] and re.fullmatch(r"R\d+", cells[1]):
            assert len(cells) == 6, f"line {number} has {len(cells) - 2} cells instead of 4"
            yield Row(number, *cells[1:5])


def marks(project: Project) -> dict[str, set[str]]:
    """The requirements that each test is marked with, by ``path::test_name``."""
    found = {}
    for path, tree in project.modules(project.root / "tests"):
        if path.rpartition("/")[2].startswith("test_"):
            found.update({f"{path}::{name}": ids for name, ids in marked_tests(tree)})
    return found


def marked_tests(tree: ast.Module) -> Iterator[tuple[str, set[str]]]:
    """The tests of a module, in classes as ``Class::test``, with their marks."""
    of_module = {
        requirement
        for node in tree.body
        if isinstance(node, ast.Assign) and is_named(node.targets[0], "pytestmark")
        for requirement in requirements_in(node.value)
    }
    for node in tree.body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() if node.name.startswith("test_"):
                yield node.name, of_module | decorations(node)
            case ast.ClassDef() if node.name.startswith("Test"):
                for inner in node.body:
                    if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                        ids = of_module | decorations(node) | decorations(inner)
                        yield f"{node.name}::{inner.name}", ids


def is_named(target: ast.expr, name: str) -> bool:
    return isinstance(target, ast.Name) and target.id == name


def decorations(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> set[str]:
    """The requirements in a definition's decorators, also on single parameters."""
    return {found for mark in node.decorator_list for found in requirements_in(mark)}


def requirements_in(expression: ast.AST) -> Iterator[str]:
    for node in ast.walk(expression):
        match node:
            case ast.Call(func=ast.Attribute(attr="requirement"), args=args):
                yield from (str(ast.literal_eval(arg)) for arg in args)


def faults_of(row: Row, marked: dict[str, set[str]]) -> Iterator[str]:
    """What is wrong with one row."""
    where = f"line {row.line}, {row.id}"
    if row.state not in STATES:
        yield f"{where}: the state '{row.state}' is none of {', '.join(STATES)}"
    if not row.requirement:
        yield f"{where}: no requirement"
    if row.state in SHOWN and not row.tests:
        yield f"{where}: {row.state}, but no test is named"
    if row.state not in SHOWN and row.tests:
        yield f"{where}: {row.state}, but tests are named"
    if row.state == "not applicable" and not row.shown_by:
        yield f"{where}: no reason why it does not apply"
    for test in row.tests:
        if test not in marked:
            yield f"{where}: there is no {test}"
        elif row.id not in marked[test]:
            yield f"{where}: {test} has no mark of it"


def faults_of_marks(found: list[Row], marked: dict[str, set[str]]) -> Iterator[str]:
    """Marks in tests that the document does not know of."""
    states = {row.id: row.state for row in found}
    for test, ids in marked.items():
        for requirement in sorted(ids):
            if states.get(requirement) not in SHOWN:
                state = states.get(requirement, "missing")
                yield f"{test} shows {requirement}, which the document has as '{state}'"


@pytest.fixture(scope="module")
def document(project: Project) -> list[Row]:
    return list(rows((project.root / "docs" / "conformance.md").read_text("utf-8")))


@pytest.fixture(scope="module")
def marked(project: Project) -> dict[str, set[str]]:
    return marks(project)


def test_every_requirement_has_one_row_in_order(document: list[Row]) -> None:
    assert [row.id for row in document] == REQUIREMENTS


def test_every_row_is_true(document: list[Row], marked: dict[str, set[str]]) -> None:
    found = [fault for row in document for fault in faults_of(row, marked)]
    assert not found, "\n".join(found)


def test_every_mark_is_in_the_document(document: list[Row], marked: dict[str, set[str]]) -> None:
    found = list(faults_of_marks(document, marked))
    assert not found, "\n".join(found)


def test_a_row_that_is_not_true_is_found() -> None:
    text = (
        "| id | requirement | state | shown by |\n|---|---|---|---|\n"
        "| R001 | NDMP \\| only 4 | shown | `tests/a.py::test_a`, `tests/a.py::Test::test_b` |\n"
        "| R002 | Two engines | partly | soon |\n"
        "| R003 | Snapshots | done | `tests/a.py::test_c` |\n"
        "| R004 | Levels | not applicable | |\n"
        "| R005 | Blocks | open | `tests/a.py::test_a` |\n"
    )
    marked = {"tests/a.py::test_a": {"R001", "R005"}, "tests/a.py::Test::test_b": {"R002"}}
    found = list(rows(text))
    assert [fault for row in found for fault in faults_of(row, marked)] == [
        "line 3, R001: tests/a.py::Test::test_b has no mark of it",
        "line 4, R002: partly, but no test is named",
        "line 5, R003: the state 'done' is none of shown, partly, open, not applicable",
        "line 5, R003: done, but tests are named",
        "line 5, R003: there is no tests/a.py::test_c",
        "line 6, R004: no reason why it does not apply",
        "line 7, R005: open, but tests are named",
    ]
    assert list(faults_of_marks(found, marked)) == [
        "tests/a.py::test_a shows R005, which the document has as 'open'"
    ]


def test_marks_are_found_wherever_they_stand() -> None:
    mark = "pytest.mark.requirement"
    source = (
        f"pytestmark = [pytest.mark.slow, {mark}('R001')]\n"
        f"@{mark}('R002', 'R003')\n"
        f"@pytest.mark.parametrize('x', [pytest.param(1, marks={mark}('R004'))])\n"
        "async def test_a(): ...\n"
        f"@{mark}('R005')\nclass TestB:\n    @{mark}('R006')\n    def test_c(self): ...\n"
        "def helper(): ...\n"
    )
    assert dict(marked_tests(ast.parse(source))) == {
        "test_a": {"R001", "R002", "R003", "R004"},
        "TestB::test_c": {"R001", "R005", "R006"},
    }
