"""What devices say of themselves does no harm to a terminal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tapekit_tape_devices.printing import columns, say, say_json

if TYPE_CHECKING:
    import pytest


def test_characters_of_control_are_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    say(["a\x1b[2Jb", "c\nd", "e"])
    assert capsys.readouterr().out == "a?[2Jb\nc?d\ne\n"


def test_json_is_what_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    say_json({"drive": "a\x1bb"})
    assert json.loads(capsys.readouterr().out) == {"drive": "a\x1bb"}


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert list(columns(("A", "Long"), [("wide", "x"), ("", "y")])) == [
        "A     Long",
        "----  ----",
        "wide  x",
        "      y",
    ]
    assert list(columns(("A", "B"), [])) == ["A  B", "-  -"]
