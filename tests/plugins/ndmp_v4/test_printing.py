"""Names and values as commands print them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tapekit_ndmp_v4.printing import say_pairs

if TYPE_CHECKING:
    import pytest


def test_pairs_stand_on_both_sides_of_their_colons(capsys: pytest.CaptureFixture[str]) -> None:
    say_pairs([("Node", "n1"), ("Tape Device", "")])
    assert capsys.readouterr().out == "       Node: n1\nTape Device:\n"
