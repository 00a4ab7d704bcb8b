"""What devices say of themselves does no harm to a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tapekit_tape_devices.printing import columns, say_lines

if TYPE_CHECKING:
    import pytest


def test_characters_of_control_are_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    say_lines(["a\x1b[2Jb", "c\nd", "e"])
    assert capsys.readouterr().out == "a\\x1b[2Jb\nc\\nd\ne\n"


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert list(columns(("A", "Long"), [("wide", "x"), ("", "y")])) == [
        "A     Long",
        "----  ----",
        "wide  x",
        "      y",
    ]
    assert list(columns(("A", "B"), [])) == ["A  B", "-  -"]
    assert list(columns(("A", "B"), [("\t", "b")])) == ["A   B", "--  -", "\\t  b"]
