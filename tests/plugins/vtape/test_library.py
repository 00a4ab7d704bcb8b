"""The rules of a library: one cartridge a place, nothing pulled out of use."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit_vtape.library import Library
from tapekit_vtape.library_state import Place
from tapekit_vtape.replay import Replayed
from tapekit_vtape.settings import VtapeSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def library(tmp_path: Path) -> Library:
    made = Library(tmp_path / "vtape", VtapeSettings(drives=2, slots=4, durability="none"))
    made.create("ABCD", ["VT0001", "VT0002", "VT0003"])
    return made


def refusal(work: Callable[[], object]) -> str:
    with pytest.raises(TapekitError) as caught:
        work()
    return f"{caught.value.id}: {caught.value}"


def test_a_new_library_has_its_first_cartridges_in_the_drives(library: Library) -> None:
    assert library.state().cartridges == {
        "VT0001": Place(slot=0, drive=0),
        "VT0002": Place(slot=1, drive=1),
        "VT0003": Place(slot=2),
    }
    assert library.state().serial == "ABCD"
    assert (library.directory.stat().st_mode & 0o077) == 0


def test_a_library_is_made_once(library: Library) -> None:
    assert "library-exists" in refusal(lambda: library.create("X", []))


def test_making_a_library_that_broke_off_goes_on_with_what_is_there(library: Library) -> None:
    (library.directory / "library.json").unlink()
    library.create("X", ["VT0001", "VT0009"])
    assert [row.barcode for row in library.rows()] == ["VT0001", "VT0009", "VT0002", "VT0003"]


def test_a_library_that_cannot_be_made_says_where(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    library = Library(tmp_path / "file" / "vtape", VtapeSettings())
    assert "library-unwritable" in refusal(lambda: library.create("X", []))


def test_settings_decide_about_a_new_cartridge(library: Library) -> None:
    library.create_cartridge("A1")
    library.move("A1", None)
    library.create_cartridge("A2", capacity=1000)
    library.move("A2", None)
    library.create_cartridge("A3", capacity=1000, early_warning=0)
    headers = {
        row.barcode: row.content.header
        for row in library.rows()
        if isinstance(row.content, Replayed)
    }
    assert (headers["A1"].capacity, headers["A1"].early_warning) == (10 << 30, 64 << 20)
    assert (headers["A2"].capacity, headers["A2"].early_warning) == (1000, 100)
    assert (headers["A3"].capacity, headers["A3"].early_warning) == (1000, 0)


@pytest.mark.parametrize("barcode", ["", "vt1", "../X", "A B", "-A", "A" * 33, "Ä1", ".", "A/B"])
def test_a_barcode_is_plain(library: Library, barcode: str) -> None:
    assert "bad-barcode" in refusal(lambda: library.create_cartridge(barcode))
    assert "no-cartridge" in refusal(lambda: library.load(0, barcode))


def test_a_barcode_names_one_cartridge(library: Library) -> None:
    library.move("VT0003", None)
    assert "barcode-taken" in refusal(lambda: library.create_cartridge("VT0003"))


@pytest.mark.parametrize(("capacity", "early_warning"), [(0, 0), (10, 10), (10, -1)])
def test_a_capacity_must_be_possible(library: Library, capacity: int, early_warning: int) -> None:
    made = lambda: library.create_cartridge(  # noqa: E731 - a call to be refused
        "A1", capacity=capacity, early_warning=early_warning
    )
    assert "bad-capacity" in refusal(made)
    assert not library.folder("A1").exists()


def test_slots_run_out(library: Library) -> None:
    library.create_cartridge("A1")
    assert library.state().cartridges["A1"] == Place(slot=3)
    assert "no-free-slot" in refusal(lambda: library.create_cartridge("A2"))
    assert "no-slot" in refusal(lambda: library.create_cartridge("A2", slot=4))
    assert "slot-taken" in refusal(lambda: library.create_cartridge("A2", slot=0))


def test_a_slot_stays_its_cartridge_s_while_that_is_in_a_drive(library: Library) -> None:
    assert "slot 0 belongs to VT0001" in refusal(lambda: library.move("VT0003", 0))
    library.unload(0)
    assert "slot 0 belongs to VT0001" in refusal(lambda: library.move("VT0003", 0))
    library.move("VT0003", 3)
    assert library.state().cartridges["VT0003"] == Place(slot=3)


def test_loading_and_unloading(library: Library) -> None:
    assert library.unload(0) == "VT0001"
    library.load(0, "VT0003")
    assert library.state().inserted(0) == ("VT0003", Place(slot=2, drive=0))
    assert "drive 0 has VT0003 in it" in refusal(lambda: library.load(0, "VT0001"))
    library.unload(0)
    assert "VT0002 is in drive 1" in refusal(lambda: library.load(0, "VT0002"))
    assert "drive-empty" in refusal(lambda: library.unload(0))


@pytest.mark.parametrize("drive", [-1, 2])
def test_a_drive_must_exist(library: Library, drive: int) -> None:
    assert "there are 2, counted from 0" in refusal(lambda: library.load(drive, "VT0003"))
    assert "there are 2, counted from 0" in refusal(lambda: library.unload(drive))


def test_a_cartridge_on_the_shelf_has_no_slot(library: Library) -> None:
    library.move("VT0003", None)
    library.unload(0)
    assert "on-shelf" in refusal(lambda: library.load(0, "VT0003"))
    assert library.rows()[-1].place is None
    library.move("VT0003", 2)
    library.load(0, "VT0003")


def test_a_cartridge_in_a_drive_is_not_moved(library: Library) -> None:
    assert "cannot be moved while it is in drive 0" in refusal(lambda: library.move("VT0001", 3))


def test_what_is_in_use_stays_where_it_is(library: Library) -> None:
    taken = library.take(0, also_ejected=False)
    assert taken is not None
    with pytest.raises(TapeError) as caught:
        library.unload(0)
    assert caught.value.condition is Condition.BUSY
    taken.cartridge.close()
    reading = library.open_cartridge("VT0003", shared=True)
    assert "cartridge-in-use" in refusal(lambda: library.move("VT0003", 3))
    reading.close()
    library.move("VT0003", 3)


def test_a_position_is_remembered_for_the_cartridge_that_has_it(library: Library) -> None:
    library.remember(0, "VT0001", position=7)
    assert library.state().cartridges["VT0001"].position == 7
    library.unload(0)
    library.load(0, "VT0003")
    library.remember(0, "VT0001", position=5)
    assert library.state().cartridges["VT0003"] == Place(slot=2, drive=0)
    library.unload(0)
    library.remember(0, "VT0003", position=5)
    assert library.state().cartridges["VT0003"] == Place(slot=2)


def test_a_remembered_position_is_never_beyond_the_data(library: Library) -> None:
    library.remember(0, "VT0001", position=7)
    taken = library.take(0, also_ejected=False)
    assert taken is not None
    assert taken.position == 0
    taken.cartridge.close()


def test_a_cartridge_whose_folder_is_gone_is_listed_with_the_reason(library: Library) -> None:
    library.folder("VT0003").rename(library.directory / "elsewhere")
    row = library.rows()[2]
    assert row.barcode == "VT0003"
    assert "No such file" in str(row.content)
    assert library.is_protected("VT0001") is False


def test_many_threads_do_not_lose_each_others_moves(library: Library, tmp_path: Path) -> None:
    settings = VtapeSettings(slots=64, drives=1, durability="none")
    wide = Library(tmp_path / "wide", settings)
    wide.create("W", [])

    def make(number: int) -> Any:
        return Library(tmp_path / "wide", settings).create_cartridge(f"T{number}").slot

    with ThreadPoolExecutor(8) as pool:
        slots = list(pool.map(make, range(40)))
    assert sorted(slots) == list(range(40))
    assert len(wide.state().cartridges) == 40
