"""The state file is replaced as a whole, and believed only if it can be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit_vtape.library_state import (
    STATE_VERSION,
    LibraryState,
    Place,
    changing,
    has_state,
    read_state,
    write_state,
)

if TYPE_CHECKING:
    from pathlib import Path

STATE = LibraryState(
    version=STATE_VERSION,
    serial="ABC",
    cartridges={"A": Place(slot=3, drive=1, is_ejected=True, position=9), "B": Place(slot=0)},
)


@pytest.mark.parametrize("durable", [False, True])
def test_states_round_trip(tmp_path: Path, durable: bool) -> None:
    write_state(tmp_path, STATE, durable=durable)
    assert has_state(tmp_path)
    assert read_state(tmp_path) == STATE
    assert (tmp_path / "library.json").stat().st_mode & 0o077 == 0


def test_questions_about_places() -> None:
    assert STATE.inserted(1) == ("A", STATE.cartridges["A"])
    assert STATE.inserted(0) is None
    assert STATE.owner(0) == "B"
    assert STATE.owner(1) is None
    assert STATE.with_place("B", None).owner(0) is None
    assert STATE.with_place("B", Place(slot=7)).owner(7) == "B"
    assert STATE.owner(0) == "B"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "cannot be read: Input data was truncated"),
        ("[]", "Expected `object`"),
        ('{"version": 1, "serial": "x", "cartridges": {"A": {"slot": "0"}}}', "Expected `int`"),
        (
            '{"version": 1, "serial": "x", "cartridges": {"A": {"slot": 0, "position": -5}}}',
            "Expected `int` >= 0",
        ),
        ('{"version": 9, "serial": "x", "cartridges": {}}', "it has version 9, and 1 can be read"),
    ],
)
def test_a_state_that_makes_no_sense_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "library.json").write_text(text)
    with pytest.raises(TapeError) as caught:
        read_state(tmp_path)
    assert words in str(caught.value)
    assert caught.value.condition is Condition.HARDWARE_ERROR


def test_a_folder_without_a_library_is_told(tmp_path: Path) -> None:
    assert not has_state(tmp_path)
    for work in (
        lambda: read_state(tmp_path),
        lambda: changing(tmp_path).__enter__(),
        lambda: changing(tmp_path / "gone").__enter__(),
    ):
        with pytest.raises(TapeError, match="there is no virtual library in") as caught:
            work()
        assert caught.value.condition is Condition.NO_DEVICE


def test_a_state_that_is_a_folder_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "library.json").mkdir()
    with pytest.raises(TapeError, match="Is a directory"):
        read_state(tmp_path)


def test_a_state_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    write_state(tmp_path, STATE, durable=False)
    (tmp_path / "library.json.new").mkdir()
    with pytest.raises(TapeError, match="cannot be written"):
        write_state(tmp_path, STATE.with_place("A", None), durable=False)
    assert read_state(tmp_path) == STATE


def test_a_lock_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    write_state(tmp_path, STATE, durable=False)
    (tmp_path / "library.lock").mkdir()
    with pytest.raises(TapeError, match="cannot be written"), changing(tmp_path):
        pass
