"""Reservations are shared by all who use a library, whatever happens to them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec
import pytest

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit_vtape.reservation_book import ReservationBook
from tapekit_vtape.reservation_rules import FREE, DeviceState, reserved

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def book(tmp_path: Path) -> ReservationBook:
    return ReservationBook(tmp_path, durable=True)


def counted(state: DeviceState) -> DeviceState:
    return msgspec.structs.replace(state, generation=state.generation + 1)


def test_what_one_changes_the_other_sees_at_once(tmp_path: Path, book: ReservationBook) -> None:
    other = ReservationBook(tmp_path, durable=False)
    assert other.state("drive-0") == FREE
    for round_ in range(1, 30):
        before, after = book.change("drive-0", counted)
        assert (before.generation, after.generation) == (round_ - 1, round_)
        assert other.state("drive-0").generation == round_
        assert other.state("drive-1") == FREE
        book, other = other, book


def test_a_new_file_is_newer_than_the_old_one(tmp_path: Path, book: ReservationBook) -> None:
    path = tmp_path / "reservations.json"
    times = []
    for _ in range(20):
        book.change("changer", counted)
        times.append(path.stat().st_mtime_ns)
    assert times == sorted(set(times))


def test_a_change_that_is_refused_changes_nothing(tmp_path: Path, book: ReservationBook) -> None:
    book.change("drive-0", lambda state: reserved(state, "a", "v.0"))
    data = (tmp_path / "reservations.json").read_bytes()

    def refuse(state: DeviceState) -> DeviceState:
        raise KeyError(state.simple)

    with pytest.raises(KeyError, match="a"):
        book.change("drive-0", refuse)
    book.change("drive-0", lambda state: state)
    assert (tmp_path / "reservations.json").read_bytes() == data


def test_processes_do_not_lose_each_others_changes(tmp_path: Path, book: ReservationBook) -> None:
    script = (
        "import sys, msgspec; from pathlib import Path\n"
        "from tapekit_vtape.reservation_book import ReservationBook\n"
        "book = ReservationBook(Path(sys.argv[1]), durable=False)\n"
        "for _ in range(100):\n"
        "    book.change('drive-0', lambda state: "
        "msgspec.structs.replace(state, generation=state.generation + 1))\n"
    )
    others = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path)]) for _ in range(2)]
    for _ in range(50):
        book.change("drive-0", counted)
    assert [other.wait() for other in others] == [0, 0]
    assert book.state("drive-0").generation == 250


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"version": 2, "devices": {}}',
        '{"version": 1}',
        '{"version": 1, "devices": {"drive-0": {"type": 3, "holder": "a"}}}',
        '{"version": 1, "devices": {"drive-0": {"type": 99, "holder": "a", "keys": {"a": 1}}}}',
        '{"version": 1, "devices": {"drive-1": {"keys": {"a": 18446744073709551616}}}}',
        '{"version": 1, "devices": {"drive-0": {"news": {"a": [[42, 256]]}}}}',
    ],
)
def test_a_file_that_cannot_be_read_is_told(
    tmp_path: Path, book: ReservationBook, text: str
) -> None:
    (tmp_path / "reservations.json").write_text(text)
    with pytest.raises(TapeError, match=r"reservations\.json cannot be read") as caught:
        book.state("drive-0")
    assert caught.value.condition is Condition.HARDWARE_ERROR


def test_a_folder_instead_of_the_file_is_told(tmp_path: Path, book: ReservationBook) -> None:
    (tmp_path / "reservations.json").mkdir()
    with pytest.raises(TapeError, match="Is a directory"):
        book.state("drive-0")


def test_a_host_that_refuses_is_told(tmp_path: Path, book: ReservationBook) -> None:
    (tmp_path / "reservations.lock").mkdir()
    with pytest.raises(TapeError, match=r"reservations\.lock cannot be written"):
        book.change("drive-0", counted)


def test_when_the_file_is_taken_away_everything_is_free(
    tmp_path: Path, book: ReservationBook
) -> None:
    book.change("drive-0", counted)
    (tmp_path / "reservations.json").unlink()
    assert book.state("drive-0") == FREE
