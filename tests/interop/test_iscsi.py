"""Drives and a changer on an iSCSI target that nobody here wrote: tgt.

tgt's tapes are an emulation with gaps. What it does against the standard is
listed where a check is left out for it; the drive over its door copes with
the rest, and what the tests show is what an administrator would see.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest
import trio

from interop_peers import need
from iscsi_cable import NOP_OUT, cable
from tapekit.hookspecs.media_changer import ElementType
from tapekit.hookspecs.tape_driver import Condition, OpenMode, TapeError, TapePosition
from tapekit.scsi.cdb import changer_command
from tapekit.scsi.sense import SenseKey, decode_sense
from tapekit.testing import check_media_changer
from tapekit.testing.tape_limits import (
    check_full_tape_takes_marks,
    check_no_tape,
    check_reopened,
    prepare_reopen,
)
from tapekit.testing.tape_motion import MOTION_CHECKS
from tapekit.testing.tape_writing import WRITING_CHECKS
from tapekit_ndmp_v4.client import (
    BackupPlan,
    NdmpClient,
    RecoverPlan,
    TapeAt,
    Watch,
    back_up,
    recover,
)
from tapekit_ndmp_v4.client import scsi as robot_steps
from tapekit_ndmp_v4.errors import OperationFailed
from tapekit_ndmp_v4.numbers import AuthType
from tapekit_scsi_iscsi.driver import ScsiIscsiDriver
from tapekit_scsi_iscsi.library import Context, Login, load_library
from tapekit_scsi_iscsi.settings import ScsiIscsiSettings, parse_target
from tapekit_tape_devices.inventory import Inventory
from tapekit_trees.comparing import compare_trees
from tapekit_trees.making import make_tree
from tgt_library import DRIVES, INITIATOR, NAME, SLOTS, barcode, tgt_library, tgt_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from running_stack import Stack
    from tapekit.hookspecs.tape_driver import TapeDrive
    from tapekit_ndmp_v4.client import BackupResult, TapeWanted
    from tapekit_ndmp_v4.messages import Message
    from tgt_library import TgtLibrary

DRIVE, OTHER_DRIVE, CHANGER = "DRV0001@0.1", "DRV0002@0.2", "LIB0001@0.3"
MIB = 1 << 20

SPARED = {
    "_space_over_records": "SPACE over blocks neither stops at filemarks nor tells of the start",
    "_space_over_filemarks": "SPACE back over a filemark ends before the record before it",
    "_unloading": "LOAD UNLOAD ends well and the tape stays in the drive",
}
"""Checks that tgt cannot pass, and what it does that no drive may do."""


@pytest.fixture
def library(tmp_path: Path) -> Iterator[TgtLibrary]:
    with tgt_library(tmp_path / "library") as serving:
        yield serving


def driver_for(library: TgtLibrary, **settings: object) -> ScsiIscsiDriver:
    """A driver that has looked."""
    driver = ScsiIscsiDriver(
        ScsiIscsiSettings(initiator=INITIATOR, targets=(library.url,), **settings)  # type: ignore[arg-type] # as given
    )
    driver.settle(library.directory)
    driver.discover()
    driver.discover_changers()
    return driver


def at_beginning(library: TgtLibrary, driver: ScsiIscsiDriver, size_mb: int = 2048) -> TapeDrive:
    """The first drive with an empty tape in it that it knows to be at its start;
    tgt's drives tell of no place, so that it is counted from there.
    """
    drive = with_fresh_tape(library, driver, size_mb)
    drive.rewind()
    return drive


def with_fresh_tape(library: TgtLibrary, driver: ScsiIscsiDriver, size_mb: int = 2048) -> TapeDrive:
    """The first drive with an empty tape in it."""
    changer = driver.open_changer(CHANGER)
    try:
        if not any(e.address == SLOTS[0] and e.is_full for e in changer.elements()):
            changer.move(DRIVES[0], SLOTS[0])
        library.blank(barcode(SLOTS[0]), size_mb)
        changer.move(SLOTS[0], DRIVES[0])
    finally:
        changer.close()
    return driver.open_drive(DRIVE)


@pytest.mark.requirement("R057")
@pytest.mark.requirement("R067")
def test_devices_are_found_by_what_they_are(library: TgtLibrary) -> None:
    driver = driver_for(library)
    drives = [(d.physical_path, d.vendor, d.product, d.serial) for d in driver.discover()]
    assert drives == [
        ("i.0L1", "TGT", "ULTRIUM-TD6", "DRV0001"),
        ("i.0L2", "TGT", "ULTRIUM-TD6", "DRV0002"),
    ]
    changers = [(c.physical_path, c.product, c.serial) for c in driver.discover_changers()]
    assert changers == [("i.0L3", "LIBRARY", "LIB0001")]


@pytest.mark.parametrize(
    "check",
    [c for c in (*WRITING_CHECKS, *MOTION_CHECKS) if c.__name__ not in SPARED],
    ids=lambda check: check.__name__.strip("_"),
)
def test_the_drive_keeps_the_contract(
    shared: tuple[TgtLibrary, ScsiIscsiDriver], check: Callable[[TapeDrive], None]
) -> None:
    drive = at_beginning(*shared)
    try:
        check(drive)
    finally:
        drive.close()


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[TgtLibrary, ScsiIscsiDriver]]:
    with tgt_library(tmp_path_factory.mktemp("tgt") / "library") as serving:
        yield serving, driver_for(serving)


def test_the_drive_keeps_a_tape_and_warns_before_its_end(
    shared: tuple[TgtLibrary, ScsiIscsiDriver],
) -> None:
    """Nothing ends a tape of tgt; the warning is all that there is."""
    for drive, check in (
        (lambda: at_beginning(*shared), prepare_reopen),
        (lambda: shared[1].open_drive(DRIVE), check_reopened),
        (lambda: at_beginning(*shared, 4), check_full_tape_takes_marks),
        (lambda: shared[1].open_drive(OTHER_DRIVE), check_no_tape),
    ):
        opened = drive()
        try:
            check(opened)
        finally:
            opened.close()


def test_the_checks_left_out_are_those_that_exist() -> None:
    assert SPARED.keys() <= {check.__name__ for check in MOTION_CHECKS}


@pytest.mark.requirement("R067")
def test_the_changer_keeps_the_contract(library: TgtLibrary) -> None:
    driver = driver_for(library)
    changer = driver.open_changer(CHANGER)
    changer.move(SLOTS[7], 16)
    tapes = [(e.type, e.volume_tag) for e in changer.elements() if e.is_full][-1]
    assert tapes == (ElementType.IMPORT_EXPORT, barcode(SLOTS[7]))
    changer.close()
    check_media_changer(lambda: driver.open_changer(CHANGER))


def test_a_drive_that_does_not_know_its_place_is_counted_along(library: TgtLibrary) -> None:
    drive = with_fresh_tape(library, driver_for(library))
    assert drive.status().position == TapePosition(None, None)
    drive.rewind()
    drive.write_records([memoryview(bytes(5 * 1024))], 1024)
    drive.write_filemarks(2)
    drive.write_records([memoryview(bytes(3 * 1024))], 1024)
    assert drive.status().position == TapePosition(2, 3)
    drive.rewind()
    drive.read_record(1024)
    assert drive.status().position == TapePosition(0, 1)
    drive.close()


def test_a_pause_does_not_end_the_connection(tmp_path: Path) -> None:
    """The target asks once a second whether anybody is there, and gets an answer."""
    with (
        tgt_library(tmp_path / "library", "nop_interval=1", "nop_count=60") as library,
        cable(library.port) as way,
    ):
        url = f"iscsi://127.0.0.1:{way.port}/{NAME}"
        driver = ScsiIscsiDriver(ScsiIscsiSettings(initiator=INITIATOR, targets=(url,)))
        driver.discover()
        drive = driver.open_drive(DRIVE)
        assert way.wait_for(lambda sent: sent.count(NOP_OUT) >= 3)
        assert not drive.status().has_tape
        drive.close()


def test_a_host_that_is_gone_is_noticed(library: TgtLibrary) -> None:
    target = parse_target(library.url)
    context = Context(load_library(), Login(INITIATOR, target, None, 10))
    descriptor = os.dup(context._calls.iscsi_get_fd(context._context))
    with socket.socket(fileno=descriptor) as connection:
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000
    context.log_out(5)
    context.destroy()


def test_a_target_that_asks_for_a_password_gets_it(library: TgtLibrary) -> None:
    library.protect("storage1", "a-long-secret")
    with pytest.raises(TapeError, match=f"Cannot log in to the iSCSI target {NAME}") as caught:
        driver_for(library)
    assert caught.value.condition is Condition.NO_DEVICE
    file = library.directory / "credentials.toml"
    for password, is_right in (("a-wrong-secret", False), ("a-long-secret", True)):
        file.write_text(f'["{NAME}"]\nuser = "storage1"\npassword = "{password}"\n')
        file.chmod(0o600)
        if is_right:
            assert driver_for(library, credentials=file.name).discover()
        else:
            with pytest.raises(TapeError) as refused:
                driver_for(library, credentials=file.name)
            assert password not in str(refused.value)


def test_a_target_that_dies_fails_what_runs_and_serves_again(
    library: TgtLibrary, tmp_path: Path
) -> None:
    driver = driver_for(library)
    drive = with_fresh_tape(library, driver)
    data = memoryview(bytes(16 * 256 * 1024))
    killer = threading.Timer(0.2, library.kill)
    killer.start()
    lost, displaced = "The path to i.0L1 is lost", "i.0L1: WRITE FILEMARKS(6) was not sent"
    for work, words in (
        (lambda: until_refused(drive, data), lost),
        (drive.status, lost),
        (lambda: drive.write_filemarks(1), displaced),
        (drive.close, lost),
    ):
        with pytest.raises(TapeError, match=re.escape(words)) as caught:
            work()
        assert caught.value.condition is Condition.HARDWARE_ERROR
    killer.join()
    with pytest.raises(TapeError, match="Cannot log in"):
        driver.open_drive(DRIVE)
    with tgt_library(tmp_path / "second", port=library.port):
        drive = driver.open_drive(DRIVE)
        assert not drive.status().has_tape
        drive.close()


def test_a_command_that_is_not_answered_is_given_up(library: TgtLibrary) -> None:
    drive = with_fresh_tape(library, driver_for(library))
    assert drive.door is not None
    library.daemon.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(TapeError, match="did not answer command 00h within 1 sec") as caught:
            drive.door.execute(bytes(6), timeout_s=0.5)
        assert caught.value.condition is Condition.TIMEOUT
        with pytest.raises(TapeError, match="is lost"):
            drive.status()
        drive.close()
    finally:
        library.daemon.send_signal(signal.SIGCONT)


def test_a_unit_is_reset(library: TgtLibrary) -> None:
    drive = with_fresh_tape(library, driver_for(library))
    assert drive.door is not None
    drive.door.reset()
    reply = drive.door.execute(bytes(6), timeout_s=10)
    assert (reply.status, decode_sense(reply.sense).key) == (2, SenseKey.UNIT_ATTENTION)
    assert drive.status().has_tape
    drive.close()


def until_refused(drive: TapeDrive, data: memoryview) -> None:
    """Write for ever."""
    while True:
        drive.write_records([data], 256 * 1024)


@pytest.fixture
def stack(library: TgtLibrary, tmp_path: Path) -> Iterator[Stack]:
    """A stack whose tapes are those of the library."""
    with tgt_stack(library, tmp_path / "stack") as serving:
        yield serving


class Robot:
    """Cartridges as a backup application changes them, over a session of its own."""

    def __init__(self, client: NdmpClient) -> None:
        self._client = client
        self._next = iter(SLOTS)
        self._loaded: int | None = None
        self._slots: dict[int, int] = {}
        """The slot of the tape that begins with a byte of the image."""

    async def load(self, slot: int | None) -> None:
        """What is in the drive goes home, and what is in a slot goes into the drive."""
        if self._loaded is not None:
            await self._move(DRIVES[0], self._loaded)
        if slot is not None:
            await self._move(slot, DRIVES[0])
        self._loaded = slot

    async def _move(self, source: int, destination: int) -> None:
        move = changer_command("MOVE MEDIUM").build(source=source, destination=destination)
        answer = await robot_steps.execute(self._client, move)
        assert answer.is_good, answer.sense

    async def load_new(self, offset: int) -> None:
        self._slots[offset] = next(self._next)
        await self.load(self._slots[offset])

    async def next_to_write(self, wanted: TapeWanted) -> TapeAt:
        await self.load_new(wanted.position)
        return TapeAt("nrst0a")

    async def next_to_read(self, wanted: TapeWanted) -> TapeAt:
        await self.load(self._slots[wanted.part.offset])
        return TapeAt("nrst0a")

    async def load_first(self) -> None:
        await self.load(self._slots[0])


async def back_and_forth(stack: Stack, between: Callable[[], object]) -> BackupResult:
    """Back up to as many cartridges as it takes, and restore from them."""
    password = stack.password.encode()
    async with (
        NdmpClient.connect("127.0.0.1", stack.port, clock=time.time) as client,
        NdmpClient.connect("127.0.0.1", stack.port, clock=time.time) as robot_client,
    ):
        for one in (client, robot_client):
            await one.open()
            await one.authenticate(AuthType.MD5, "ndmp", password)
        await robot_steps.open_device(robot_client, "mc0")
        robot = Robot(robot_client)
        await robot.load_new(0)
        environment = (("FILESYSTEM", "/vs1/vol1"), ("LEVEL", "0"), ("HIST", "y"))
        plan = BackupPlan(tape=TapeAt("nrst0a"), environment=environment, record_size=64 * 1024)
        result = await back_up(client, plan, next_tape=robot.next_to_write)
        between()
        await robot.load_first()
        restore = RecoverPlan(
            parts=result.parts, environment=result.environment, record_size=plan.record_size
        )
        await recover(client, restore, next_tape=robot.next_to_read)
        await robot.load(None)
        return result


@pytest.mark.requirement("R067")
@pytest.mark.parametrize(("size_mb", "tapes"), [(2048, 1), (4, 3)])
def test_a_volume_comes_back_from_as_many_cartridges_as_it_takes(
    library: TgtLibrary, stack: Stack, tmp_path: Path, size_mb: int, tapes: int
) -> None:
    for slot in SLOTS:
        library.blank(barcode(slot), size_mb)
    make_tree(stack.volume, files=60, seed=7, wide=100, deep=5, far=1 << 20)
    (stack.volume / "plain" / "large").write_bytes(os.urandom(8 * MIB))
    kept = tmp_path / "kept"

    def empty_the_volume() -> None:
        kept.mkdir()
        for path in list(stack.volume.iterdir()):
            path.rename(kept / path.name)

    result = trio.run(back_and_forth, stack, empty_the_volume)
    assert len(result.parts) == tapes
    found = compare_trees(kept, stack.volume)
    assert [str(each) for each in found if each.path != "."] == []


async def load_the_first(stack: Stack) -> None:
    """Put a cartridge into the first drive, by the robot."""
    async with NdmpClient.connect("127.0.0.1", stack.port, clock=time.time) as client:
        await client.open()
        await client.authenticate(AuthType.MD5, "ndmp", stack.password.encode())
        await robot_steps.open_device(client, "mc0")
        await Robot(client).load(SLOTS[0])
        await robot_steps.close(client)


def test_ndmjob_backs_up_and_restores(stack: Stack, tmp_path: Path) -> None:
    """Without a robot of its own."""
    need("ndmjob")
    trio.run(load_the_first, stack)
    make_tree(stack.volume, files=60, seed=3, wide=100, deep=5, far=1 << 20)
    index = tmp_path / "index"
    common = ("-B", "dump", "-D", stack.agent(), "-f", "nrst0a", "-b", "100")
    stack.ndmjob("-c", *common, "-E", "FILESYSTEM=/vs1/vol1", "-I", str(index))
    stack.ndmjob(
        *("-x", *common, "-J", str(index)),
        *("-E", "FILESYSTEM=/vs1/vol1", "-C", "/vs1/vol1/back"),
    )
    kept = tmp_path / "kept"
    (stack.volume / "back").rename(kept)
    found = compare_trees(stack.volume, kept)
    assert [str(each) for each in found if each.path != "."] == []


def test_a_backup_ends_when_the_target_dies(library: TgtLibrary, tmp_path: Path) -> None:
    def kill_in_the_middle(sent: int) -> None:
        if sent > 4 * MIB and library.daemon.poll() is None:
            library.kill()

    async def run(stack: Stack) -> None:
        password = stack.password.encode()
        async with NdmpClient.connect("127.0.0.1", stack.port, clock=time.time) as client:
            await client.open()
            await client.authenticate(AuthType.MD5, "ndmp", password)
            plan = BackupPlan(tape=TapeAt("nrst0a"), environment=(("FILESYSTEM", "/vs1/vol1"),))
            with trio.fail_after(60):
                await back_up(client, plan, watch=Watch(on_post=heard.append))

    heard: list[Message] = []
    with cable(library.port) as way:
        target = f'targets = ["iscsi://127.0.0.1:{way.port}/{NAME}"]'
        with tgt_stack(library, tmp_path / "stack", target) as stack:
            (stack.volume / "file").write_bytes(os.urandom(16 * MIB))
            trio.run(load_the_first, stack)
            way.on_sent = kill_in_the_middle
            with pytest.raises(OperationFailed, match="mover MEDIA_ERROR"):
                trio.run(run, stack)
            assert any("Media error on tape write" in str(post) for post in heard)
            assert "The path to i.0L1 is lost" in stack.log.read_text()
            assert stack.tapekit("ndmp", "status", str(stack.file)).startswith("Session")


@pytest.mark.parametrize("record_size", [64 * 1024, 256 * 1024])
def test_speed_of_records(
    library: TgtLibrary, record_size: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not a limit: how fast one drive is here, for the record."""
    drive = with_fresh_tape(library, driver_for(library))
    run = memoryview(os.urandom(4 * MIB))
    amount = 128 * MIB
    started = time.perf_counter()
    for _ in range(amount // len(run)):
        assert drive.write_records([run], record_size) == len(run) // record_size
    written = time.perf_counter()
    drive.write_filemarks(1)
    drive.rewind()
    into = memoryview(bytearray(4 * MIB))
    read_from = time.perf_counter()
    count = 0
    while count < amount:
        count += drive.read_records(into, len(into), record_size).length
    read = time.perf_counter()
    drive.close()
    with capsys.disabled():
        print(
            f"\n{record_size // 1024} KiB: write {amount / MIB / (written - started):.0f} MiB/s, "
            f"read {amount / MIB / (read - read_from):.0f} MiB/s"
        )


async def without_a_rest(_seconds: float) -> None:
    await trio.lowlevel.checkpoint()


@pytest.mark.requirement("R042")
async def test_a_unit_that_comes_while_the_stack_runs_gets_a_name(tmp_path: Path) -> None:
    with tgt_library(tmp_path / "library") as library:
        settings = ScsiIscsiSettings(initiator=INITIATOR, targets=(library.url,))
        driver = ScsiIscsiDriver(settings, rest=without_a_rest)
        inventory = Inventory()
        inventory.settle({"iscsi": driver}, {"iscsi": driver})
        assert len(inventory.drives()) == len(DRIVES)
        held = inventory.open("nrst0a", OpenMode.RAW, "test")
        await driver.wait_for_change()
        unit = ("--mode", "logicalunit", "--op", "new", "--tid", "1", "--lun", "7")
        image = str(library.directory / barcode(SLOTS[-1]))
        tape = ("--device-type", "tape", "--bstype", "ssc", "--backing-store", image)
        library.admin(*unit, *tape)
        with trio.fail_after(60):
            await driver.wait_for_change()
        await trio.to_thread.run_sync(inventory.renew)
        rows = inventory.drives()
        assert [row.description.physical_path for row in rows] == ["i.0L1", "i.0L2", "i.0L7"]
        assert [row.holder for row in rows] == ["test", None, None]
        held.close()
        inventory.open("nrst2a", OpenMode.RAW, "test").close()
