"""NDMJOB drives the virtual library: its robot, its labels, its media tables."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from interop_peers import need
from ndmjob_index import media_in, names_in
from ndmjob_robot import Place, Robot, elements
from tapekit_trees.comparing import compare_trees
from tapekit_trees.making import make_tree

if TYPE_CHECKING:
    from pathlib import Path

    from running_stack import Stack

VOLUME = "/vs1/vol1"
RECORD_BYTES = 64 * 512
WINDOW = "1M"
"""How much goes on a tape before the next one is taken: whole records."""


@pytest.fixture
def robot(stack: Stack) -> Robot:
    need("ndmjob")
    return Robot(stack)


def test_the_library_is_shown_with_its_barcodes(robot: Robot) -> None:
    told = robot.does("-q")
    assert "scsi TAPEKIT VIRTUAL-LIBRARY" in told
    assert "device     mc0" in told
    assert re.search(r"slots 8@\d+ +drive 2@\d+ +arm 1@\d+", told)
    places = elements(told)
    assert [place.kind for place in places.values()] == ["ARM"] + ["SLOT"] * 8 + ["TAPE"] * 2
    full = {place.cartridge for place in places.values()} - {None}
    assert full == {f"VT000{number}" for number in range(1, 9)}


@pytest.mark.requirement("R106")
def test_cartridges_are_loaded_unloaded_and_moved(robot: Robot) -> None:
    drive = robot.drive()
    first, home = drive.cartridge, drive.source
    robot.does("-o", "unload")
    assert robot.places()[drive.address].cartridge is None
    assert robot.slot_of(str(first)) == home
    other = robot.slot_of("VT0005")
    robot.does("-o", f"load={other}")
    assert robot.places()[drive.address] == Place(drive.address, "TAPE", "VT0005", other)
    robot.does("-o", "move", "-o", f"from-addr={drive.address}", "-o", f"to-addr={other}")
    assert robot.slot_of("VT0005") == other
    robot.does("-o", "init-elem-status")
    assert robot.places()[drive.address].cartridge is None


def test_what_the_robot_cannot_do_changes_nothing(robot: Robot) -> None:
    before = robot.places()
    full, drive = robot.slot_of("VT0006"), robot.drive().address
    robot.cannot("-o", f"load={full}")
    robot.cannot("-o", "move", "-o", f"from-addr={drive}", "-o", f"to-addr={full}")
    robot.cannot("-o", "move", "-o", "from-addr=9999", "-o", f"to-addr={full}")
    assert robot.places() == before


def test_a_drive_that_was_left_full_is_put_right(robot: Robot) -> None:
    drive = robot.drive()
    robot.does("-Z")
    assert robot.places()[drive.address].cartridge is None
    assert robot.slot_of(str(drive.cartridge)) == drive.source


def test_a_tape_is_ejected_before_it_is_taken_out(robot: Robot) -> None:
    drive = robot.drive()
    told = robot.does(
        *("-o", "unload", "-o", "use-eject=1", "-T", robot.stack.agent(), "-f", "nrst0a")
    )
    assert "Commanding tape drive to eject" in told
    assert robot.places()[drive.address].cartridge is None


@pytest.mark.requirement("R007")
@pytest.mark.parametrize("names", [(), ("plain",)], ids=["everything", "a directory"])
@pytest.mark.parametrize("sessions", [1, 2], ids=["one session", "two sessions"])
def test_a_backup_over_three_cartridges_comes_back_equal(
    robot: Robot, tmp_path: Path, sessions: int, names: tuple[str, ...]
) -> None:
    stack = robot.stack
    make_tree(stack.volume, files=60, seed=9, wide=100, deep=5, far=1 << 20)
    (stack.volume / "plain" / "large").write_bytes(os.urandom(2_600_000))
    robot.does("-Z")
    agents = ["-D", stack.agent()] + (["-T", stack.agent()] if sessions == 2 else [])
    slots = [robot.slot_of(f"VT000{number}") for number in (3, 4, 5)]
    windows = (f"/{WINDOW}", f"/{WINDOW}", "")
    media = [f"T{slot}@{slot}{window}" for slot, window in zip(slots, windows, strict=True)]
    table = [option for each in media for option in ("-m", each)]
    robot.does("-o", "init-labels", "-T", stack.agent(), "-f", "nrst0a", *table)
    index = tmp_path / "index"
    common = ("-B", "dump", *agents, "-f", "nrst0a", "-b", str(RECORD_BYTES // 512))
    told = robot.does("-c", *common, *table, "-E", f"FILESYSTEM={VOLUME}", "-I", str(index))
    assert told.count("Operation requires next tape") == 2
    assert "Operation ended OKAY" in told
    assert [each.rpartition("/")[0] for each in media_in(index)] == [f"T{x}+1" for x in slots]
    assert [each.partition("@")[0].rpartition("/")[2] for each in media_in(index)][:2] == ["1M"] * 2
    expected = {os.fsencode(name) for _, *both in os.walk(stack.volume) for x in both for name in x}
    assert names_in(index) - {b".", b".."} == expected
    told = robot.does(
        "-x",
        *common,
        "-J",
        str(index),
        *("-E", f"FILESYSTEM={VOLUME}", "-C", f"{VOLUME}/back"),
        *names,
    )
    assert "Operation ended OKAY" in told
    kept = tmp_path / "kept"
    (stack.volume / "back").rename(kept)
    for part in names or (".",):
        found = compare_trees(stack.volume / part, kept / part)
        assert [str(each) for each in found if each.path != "."] == []
    assert robot.drive().cartridge is None


@pytest.mark.requirement("R131")
@pytest.mark.parametrize("sessions", [1, 2], ids=["one session", "two sessions"])
def test_files_on_any_cartridge_are_restored_directly(
    robot: Robot, tmp_path: Path, sessions: int
) -> None:
    """The windows of the index lead to the cartridge, file history into it."""
    stack = robot.stack
    for number in range(30):
        (stack.volume / f"file{number:02}").write_bytes(os.urandom(1_000_000))
    robot.does("-Z")
    agents = ["-D", stack.agent()] + (["-T", stack.agent()] if sessions == 2 else [])
    slots = [robot.slot_of(f"VT000{number}") for number in (3, 4, 5)]
    windows = ("/10M", "/10M", "")
    media = [f"@{slot}{window}" for slot, window in zip(slots, windows, strict=True)]
    table = [option for each in media for option in ("-m", each)]
    index = tmp_path / "index"
    common = ("-B", "dump", *agents, "-f", "nrst0a", "-b", str(RECORD_BYTES // 512))
    robot.does("-c", *common, *table, "-E", f"FILESYSTEM={VOLUME}", "-I", str(index))
    for wanted in (("file15",), ("file27",), ("file02", "file16", "file28")):
        told = robot.does(
            *("-x", *common, "-J", str(index), "-E", f"FILESYSTEM={VOLUME}", "-E", "DIRECT=y"),
            *("-C", f"{VOLUME}/back", *wanted),
        )
        assert "Operation ended OKAY" in told
        (read,) = re.findall(r"directly; (\d+) bytes were read", told)
        assert int(read) < 3_000_000 * len(wanted)
        back = stack.volume / "back"
        assert sorted(each.name for each in back.iterdir()) == sorted(wanted)
        for name in wanted:
            assert (back / name).read_bytes() == (stack.volume / name).read_bytes()
        shutil.rmtree(back)


def test_labels_are_listed(robot: Robot) -> None:
    robot.does("-Z")
    slot = robot.slot_of("VT0007")
    tape = ("-T", robot.stack.agent(), "-f", "nrst0a")
    robot.does("-o", "init-labels", *tape, "-m", f"MONDAY@{slot}")
    # NDMJOB takes the label's type for a failure, so it never ends well here.
    done = robot.stack.ndmjob("-l", *tape, "-m", f"@{slot}", *robot.options)
    assert f'ME "MONDAY@{slot}"' in done.stdout, done.stdout
