"""Amanda labels, checks, writes and reads tapes over NDMP, and drives the robot."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest

from amanda import BLOCK_BYTES, PEERS, Amanda, amanda_of, padded
from interop_peers import need

if TYPE_CHECKING:
    from collections.abc import Iterator

    from running_stack import Stack

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="Amanda's programs run as its own user")

DATA = random.Random(7).randbytes(34 * BLOCK_BYTES - 7)


@pytest.fixture
def amanda(stack: Stack) -> Iterator[Amanda]:
    need(*PEERS)
    with amanda_of(stack) as configured:
        yield configured


@pytest.fixture
def robot(stack: Stack) -> Iterator[Amanda]:
    need(*PEERS)
    with amanda_of(stack, "robot") as configured:
        yield configured


def slow_down(stack: Stack) -> None:
    """Have the drive take half a second for the first part.

    Amanda looks at the mover's state only after MOVER_READ, and takes a pause
    that it finds then for one before the part: it says MOVER_CONTINUE, takes
    the post of that pause for the part's end, and turns to the tape while the
    mover has it.
    """
    speed = ("--bytes-per-second", str(32 * BLOCK_BYTES))
    stack.tapekit("vtape", "fault", "add", str(stack.file), "slow", *speed, "--advanced")


@pytest.mark.requirement("R007")
def test_a_tape_is_labelled_and_checked(amanda: Amanda) -> None:
    told = amanda.run("amlabel", ".", "TAPE-01")
    assert "Success!" in told
    device = f"ndmp:127.0.0.1:{amanda.stack.port}@nrst0a"
    assert amanda.run("amdevcheck", ".", device) == "SUCCESS\n"
    assert amanda.run("amdevcheck", "--label", ".", device) == "TAPE-01\n"
    told = amanda.run("amcheck-device", ".", "drive", "-w")
    assert "Volume 'TAPE-01' is writeable." in told


def test_blocks_come_back(amanda: Amanda) -> None:
    assert amanda.write("blocks", DATA) == [len(DATA)]
    assert amanda.read("blocks") == padded(DATA)


@pytest.mark.parametrize("way", ["direct", "indirect"])
def test_a_stream_to_the_mover_is_cut_into_parts_by_windows(amanda: Amanda, way: str) -> None:
    """Direct: the mover listens with an empty window, pauses at the first
    record and is told a window for each part. Indirect: Amanda listens.
    """
    sizes = amanda.write(way, DATA, 16 * BLOCK_BYTES - 99)
    assert sizes == [16 * BLOCK_BYTES, 16 * BLOCK_BYTES, 2 * BLOCK_BYTES]
    slow_down(amanda.stack)
    assert amanda.read("direct", parts=3) == padded(DATA)
    assert amanda.read("blocks") == DATA[: 16 * BLOCK_BYTES]


def test_blocks_come_back_as_a_stream(amanda: Amanda) -> None:
    amanda.write("blocks", DATA)
    slow_down(amanda.stack)
    assert amanda.read("direct") == padded(DATA)


def test_the_robot_is_known_by_its_barcodes_and_labels_cartridges(robot: Amanda) -> None:
    assert "barcode VT0001" in robot.run("amtape", ".", "inventory")
    for number in (3, 4):
        told = robot.run("amlabel", ".", f"TAPE-0{number}", "slot", str(number))
        assert "Success!" in told
    told = robot.run("amtape", ".", "show")
    assert [line.split()[-1] for line in told.splitlines() if "label TAPE" in line] == [
        "TAPE-03",
        "TAPE-04",
    ]
    told = robot.run("amtape", ".", "inventory")
    assert "slot 3: label TAPE-03 barcode VT0003" in told
    assert "slot 4: label TAPE-04 barcode VT0004" in told
    assert "slot 1: blank barcode VT0001" in told
