"""NDMJOB and Amanda drive the robot and the drives of a library that nobody here wrote: tgt's.

tgt's changer dies of what they ask it for, all types of elements at once;
what they get to see is what a changer without that quirk would tell.
"""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from amanda import PEERS, amanda_of
from interop_peers import need
from ndmjob_index import media_in
from ndmjob_robot import Place, Robot
from tapekit_trees.comparing import compare_trees
from tapekit_trees.making import make_tree
from tgt_library import CARTRIDGE_MB, DRIVES, MAIL_SLOTS, SLOTS, barcode, tgt_library, tgt_stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from running_stack import Stack
    from tgt_library import TgtLibrary

VOLUME = "/vs1/vol1"
DRIVE, OTHER_DRIVE = DRIVES
RECORD_BLOCKS = 128
"""Units of 512 bytes of a record."""


HOME = {barcode(slot): slot for slot in SLOTS}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TgtLibrary]:
    need("ndmjob")
    with tgt_library(tmp_path_factory.mktemp("tgt") / "library") as serving:
        yield serving
        assert serving.daemon.poll() is None


@pytest.fixture(scope="module")
def stack(library: TgtLibrary, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with tgt_stack(library, tmp_path_factory.mktemp("site") / "stack") as serving:
        yield serving


@pytest.fixture
def robot(stack: Stack) -> Robot:
    """The robot of a library with every cartridge in its slot, and an empty volume."""
    robot = Robot(stack)
    for cartridge, address in where(robot).items():
        if address != HOME[cartridge]:
            robot.does(
                *("-o", "move", "-o", f"from-addr={address}", "-o", f"to-addr={HOME[cartridge]}")
            )
    shutil.rmtree(stack.volume)
    stack.volume.mkdir()
    return robot


def where(robot: Robot) -> dict[str, int]:
    """Where each cartridge is."""
    return {
        place.cartridge: place.address
        for place in robot.places().values()
        if place.cartridge is not None
    }


@pytest.mark.requirement("R067")
def test_cartridges_go_where_ndmjob_sends_them(robot: Robot) -> None:
    told = robot.does("-q")
    assert re.search(r"slots 8@1024 +drive 2@256 +arm 1@1 +i/e 2@16", told)
    assert "access=denied" not in told
    places = robot.places()
    kinds = [place.kind for place in places.values()]
    assert kinds == ["ARM"] + ["SLOT"] * 8 + ["IEE"] * 2 + ["TAPE"] * 2
    assert where(robot) == HOME
    robot.does("-o", "init-elem-status")
    robot.does("-o", f"load={SLOTS[2]}")
    assert robot.places()[DRIVE] == Place(DRIVE, "TAPE", barcode(SLOTS[2]), SLOTS[2])
    robot.cannot("-o", f"load={SLOTS[3]}")
    robot.cannot("-o", "move", "-o", f"from-addr={SLOTS[2]}", "-o", f"to-addr={OTHER_DRIVE}")
    robot.cannot("-o", "move", "-o", f"from-addr={SLOTS[3]}", "-o", "to-addr=9999")
    robot.does("-o", "unload")
    assert where(robot) == HOME
    robot.does("-o", f"load={SLOTS[0]}")
    tape = ("-T", robot.stack.agent(), "-f", "nrst0a")
    told = robot.does("-o", "unload", "-o", "use-eject=1", *tape)
    assert "Commanding tape drive to eject" in told
    assert where(robot) == HOME
    robot.does("-o", "move", "-o", f"from-addr={SLOTS[3]}", "-o", f"to-addr={OTHER_DRIVE}")
    robot.does("-o", f"export={SLOTS[4]}")
    moved = {barcode(SLOTS[3]): OTHER_DRIVE, barcode(SLOTS[4]): MAIL_SLOTS[0]}
    assert where(robot) == HOME | moved
    robot.does("-o", f"import={SLOTS[4]}")
    robot.does("-o", f"load={SLOTS[5]}")
    robot.does("-Z")
    assert where(robot) == HOME | {barcode(SLOTS[3]): OTHER_DRIVE}


@pytest.mark.requirement("R007")
@pytest.mark.requirement("R067")
@pytest.mark.parametrize("ends", ["windows", "short tapes"])
def test_a_labeled_backup_over_three_cartridges_comes_back_equal(
    library: TgtLibrary, robot: Robot, tmp_path: Path, ends: str
) -> None:
    stack, slots = robot.stack, SLOTS[2:5]
    for slot in slots:
        library.blank(barcode(slot), 4 if ends == "short tapes" else CARTRIDGE_MB)
    make_tree(stack.volume, files=60, seed=9, wide=100, deep=5, far=1 << 20)
    (stack.volume / "plain" / "large").write_bytes(os.urandom(8 << 20))
    windows = ("/4M", "/4M", "") if ends == "windows" else ("", "", "")
    media = [f"T{slot}@{slot}{window}" for slot, window in zip(slots, windows, strict=True)]
    table = [option for each in media for option in ("-m", each)]
    tape = ("-T", stack.agent(), "-f", "nrst0a")
    robot.does("-o", "init-labels", *tape, *table)
    # NDMJOB takes the label's type for a failure, so it never ends well here.
    listed = stack.ndmjob("-l", *tape, "-m", f"@{slots[1]}", *robot.options)
    assert f'ME "T{slots[1]}@{slots[1]}"' in listed.stdout, listed.stdout
    index = tmp_path / "index"
    common = ("-B", "dump", "-D", stack.agent(), "-f", "nrst0a", "-b", str(RECORD_BLOCKS))
    told = robot.does("-c", *common, *table, "-E", f"FILESYSTEM={VOLUME}", "-I", str(index))
    assert told.count("Operation requires next tape") == 2
    assert "Operation ended OKAY" in told
    assert [each.rpartition("/")[0] for each in media_in(index)] == [f"T{x}+1" for x in slots]
    told = robot.does(
        *("-x", *common, "-J", str(index)),
        *("-E", f"FILESYSTEM={VOLUME}", "-C", f"{VOLUME}/back"),
    )
    assert "Operation ended OKAY" in told
    kept = tmp_path / "kept"
    (stack.volume / "back").rename(kept)
    found = compare_trees(stack.volume, kept)
    assert [str(each) for each in found if each.path != "."] == []
    assert where(robot) == HOME


@pytest.mark.skipif(os.geteuid() != 0, reason="Amanda's programs run as its own user")
def test_amanda_labels_a_cartridge_that_the_robot_brings(robot: Robot) -> None:
    """It opens the changer anew for each command, and takes news of a reset for a failure."""
    need(*PEERS)
    with amanda_of(robot.stack, "robot") as amanda:
        assert f"slot 8: unknown state barcode {barcode(SLOTS[7])}" in amanda.run(
            "amtape", ".", "inventory"
        )
        assert "Success!" in amanda.run("amlabel", ".", "TAPE-08", "slot", "8")
        told = amanda.run("amtape", ".", "inventory")
        assert f"slot 8: label TAPE-08 barcode {barcode(SLOTS[7])} (in drive 0)" in told
