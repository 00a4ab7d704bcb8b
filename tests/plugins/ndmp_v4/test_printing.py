"""What commands print of values that came from anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tapekit_ndmp_v4.printing import say, say_json, say_pairs, say_table

if TYPE_CHECKING:
    import pytest


def test_nothing_is_taken_for_markup_or_control(capsys: pytest.CaptureFixture[str]) -> None:
    say("[bold]\x1b[31m\n\udce9é")
    assert capsys.readouterr().out == "[bold]\\x1b[31m\\n\\udce9é\n"


def test_a_table_has_no_blanks_at_the_ends_of_lines(capsys: pytest.CaptureFixture[str]) -> None:
    say_table(("Session", "User"), [("1", "anna"), ("22", "")])
    assert capsys.readouterr().out == "Session  User\n1        anna\n22\n"


def test_pairs_stand_on_both_sides_of_their_colons(capsys: pytest.CaptureFixture[str]) -> None:
    say_pairs([("Node", "n1"), ("Tape Device", "")])
    assert capsys.readouterr().out == "       Node: n1\nTape Device:\n"


def test_json_is_not_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    say_json({"path": "x" * 300})
    assert capsys.readouterr().out.count("\n") == 3
