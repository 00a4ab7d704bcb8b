from __future__ import annotations

from pathlib import Path

import pytest

from tapekit.cli.line import Line, split_line


@pytest.mark.parametrize(
    ("line", "stack", "word", "rest"),
    [
        ("vtape list", None, "vtape", "list"),
        ("vtape list --json s.toml", "s.toml", "vtape", "list --json"),
        ("s.toml vtape list", "s.toml", "vtape", "list"),
        ("vtape s.toml list a.toml", "s.toml", "vtape", "list a.toml"),
        ("vtape import a.toml --stack s", "s", "vtape", "import a.toml"),
        ("--stack=s vtape import a.toml", "s", "vtape", "import a.toml"),
        ("--stack s vtape", "s", "vtape", ""),
        ("--json vtape list", None, "vtape", "list --json"),
        ("--version", None, None, "--version"),
        ("s.toml", "s.toml", None, ""),
        ("", None, None, ""),
        ("vtape --out=a.toml", None, "vtape", "--out=a.toml"),
        ("vtape --stack", None, "vtape", "--stack"),
    ],
)
def test_the_stack_file_may_stand_anywhere(
    line: str, stack: str | None, word: str | None, rest: str
) -> None:
    expected = Line(Path(stack) if stack else None, word, rest.split())
    assert split_line(line.split()) == expected
