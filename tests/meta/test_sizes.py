"""Nothing grows beyond what one can read: files and functions."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.meta.conftest import Project

LONGEST_FILE: Final = 600
LONGEST_FUNCTION: Final = 60

EXEMPT: Final[frozenset[str]] = frozenset()
"""``path`` or ``path::function``. The list may only shrink."""


def too_long(project: Project) -> Iterator[str]:
    for folder in ("core", "plugins", "tests"):
        for path, tree in project.modules(project.root / folder):
            lines = len((project.root / path).read_text("utf-8").splitlines())
            if lines > LONGEST_FILE:
                yield path
            yield from (f"{path}::{name}" for name in long_functions(tree))


def long_functions(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            if node.end_lineno - node.lineno >= LONGEST_FUNCTION:
                yield node.name


def test_no_file_and_no_function_is_too_long(project: Project) -> None:
    assert set(too_long(project)) - EXEMPT == set()


def test_no_exemption_is_left_that_nobody_needs(project: Project) -> None:
    assert EXEMPT - set(too_long(project)) == set()


def test_a_function_of_sixty_lines_is_the_longest() -> None:
    source = "def short():\n" + "    x = 1\n" * 59 + "\n\ndef long():\n" + "    x = 1\n" * 60
    assert list(long_functions(ast.parse(source))) == ["long"]
