"""What is printed does no harm to a terminal, and programs get it whole."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.console import Printer, json_text, printable, say, say_json, say_table

if TYPE_CHECKING:
    from collections.abc import Callable

ANYTHING = st.text(st.characters(exclude_categories=()))
"""Surrogates and characters of control included."""


class Row(msgspec.Struct):
    """A row as commands have them."""

    path: str
    size: int | None


@given(ANYTHING)
def test_whatever_comes_is_one_line_of_what_can_be_seen(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert printable(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("é [b]漢 \\n", "é [b]漢 \\n"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\x1b[2J\x9b2J\x7f", r"\x1b[2J\x9b2J\x7f"),
        ("a\u202eb", r"a\u202eb"),
        ("caf\udce9", r"caf\udce9"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(ANYTHING)
def test_json_can_be_seen_and_gives_back_what_was_given(text: str) -> None:
    compact, spaced = json_text(Row(text, 1)), json_text([Row(text, None)], indent=2)
    assert compact.isprintable()
    assert spaced.replace("\n", "").isprintable()
    assert compact.encode()
    assert json.loads(compact)["path"] == json.loads(spaced)[0]["path"]
    if not any("\ud800" <= char <= "\udfff" for char in text):
        assert msgspec.json.decode(compact, type=Row) == Row(text, 1)


def test_json_may_hold_what_is_json_already() -> None:
    raw = msgspec.Raw('{"b":"\x9b"}'.encode())
    text = json_text({1: raw, "nothing": float("nan")})
    assert text.isprintable()
    assert json.loads(text) == {"1": {"b": "\x9b"}, "nothing": None}


@pytest.mark.parametrize(
    "print_text",
    [say, lambda text: say_table((text,), [(text,)]), lambda text: say_json({text: text})],
)
@pytest.mark.parametrize("is_terminal", [False, True])
def test_nothing_printed_is_obeyed(
    print_text: Callable[[str], None], is_terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: is_terminal)
    monkeypatch.setattr(sys, "stdout", screen)
    print_text("[red]x\x1b]0;title\x07\x9b31m\u202e\udce9\r")
    assert "[red]x" in screen.getvalue()
    assert screen.getvalue().replace("\n", "").isprintable()
    assert screen.getvalue().encode()


def test_a_table_has_no_blanks_at_the_ends_of_lines() -> None:
    screen = io.StringIO()
    Printer(screen).say_table(("User", "Bytes"), [("anna", "1"), ("", "200")], right=["Bytes"])
    Printer(screen).say_table(("", ""), [("State", "")], has_heading=False)
    assert screen.getvalue() == "User  Bytes\nanna      1\n        200\nState\n"
