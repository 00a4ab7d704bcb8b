"""What is checked in a guest with a kernel of its own: drives and a changer
behind real device nodes. Run by :mod:`test_sg_kernel`; prints a line a check.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import time
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

import guest_target
from running_stack import Stack
from tapekit.errors import TapekitError
from tapekit.hookspecs.tape_driver import Condition, DriveSetup, TapeError
from tapekit.scsi.cdb import tape_command
from tapekit.scsi.log import TAPE_ALERT_PAGE
from tapekit.scsi.sense import SenseKey, decode_sense
from tapekit.testing import check_media_changer
from tapekit.testing.tape_limits import (
    check_end_of_medium,
    check_full_tape_takes_marks,
    check_no_tape,
    check_protected,
    check_reopened,
    prepare_reopen,
)
from tapekit.testing.tape_motion import MOTION_CHECKS
from tapekit.testing.tape_writing import WRITING_CHECKS
from tapekit_ndmp_v4.client import BackupPlan, NdmpClient, RecoverPlan, TapeAt, back_up, recover
from tapekit_ndmp_v4.client import scsi as robot_steps
from tapekit_ndmp_v4.numbers import AuthType
from tapekit_scsi_sg.driver import ScsiSgDriver
from tapekit_scsi_sg.settings import ScsiSgSettings
from tapekit_trees.comparing import compare_trees
from tapekit_trees.making import make_tree
from tapekit_vtape.driver import VtapeDriver
from tapekit_vtape.settings import VtapeSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tapekit.hookspecs.media_changer import MediaChanger
    from tapekit.scsi.door import CdbDoor, CdbReply
    from tapekit.scsi_devices.drive import CdbDrive

MIB = 1 << 20
SCRATCH = Path("/tmp/guest")
CHANGER_LUN, DRIVE_LUN, OTHER_LUN = 0, 1, 2
SPARED = {"_extents": "files become bytes before the kernel sees any; it takes long here"}
SMALL = {"capacity_bytes": 2_000_000, "early_warning_bytes": 200_000}

UNITS: dict[int, guest_target.Unit] = {}
FOLDERS = (SCRATCH / f"library{number}" for number in itertools.count())
OPENED: list[Any] = []


def library(*, has_tape: bool = True, **settings: Any) -> VtapeDriver:
    """Another library behind the same units, with a tape in the first drive
    and some in slots; returns its driver.
    """
    while OPENED:
        OPENED.pop().close()
    made = VtapeDriver(
        VtapeSettings(
            directory=str(next(FOLDERS)), drives=2, slots=4, durability="none", **settings
        )
    )
    made.library.create("S1", ["T00000"] if has_tape else [])
    for number in (1, 2):
        made.library.create_cartridge(f"T0000{number}")
    return made


def insert(made: VtapeDriver) -> None:
    """Have the units answered by the devices of a library."""
    OPENED.extend((made.changer(), made.open_drive("0"), made.open_drive("1")))
    for lun, device in enumerate(OPENED):
        if lun in UNITS:
            UNITS[lun].door = device.door


def driver(**settings: Any) -> ScsiSgDriver:
    """A driver of this kernel's devices that has looked."""
    made = ScsiSgDriver(ScsiSgSettings(**settings))
    made.discover()
    made.discover_changers()
    return made


def address(lun: int) -> str:
    """Where the kernel has a unit."""
    made = ScsiSgDriver(ScsiSgSettings())
    found = (*made.discover(), *made.discover_changers())
    (one,) = (d.address for d in found if d.address.endswith(f":{lun}"))
    return one


def open_drive() -> CdbDrive:
    """The first drive through its node."""
    return driver().open_drive(address(DRIVE_LUN))


@contextmanager
def fresh_drive(**settings: Any) -> Iterator[CdbDrive]:
    """The first drive with an empty tape in it."""
    insert(library(**settings))
    drive = open_drive()
    try:
        yield drive
    finally:
        drive.close()


def check_discovery() -> None:
    insert(library())
    made = driver()
    (drive,) = made.discover()
    (changer,) = made.discover_changers()
    host, *_ = drive.address.partition("@")[2].split(":")
    assert (drive.physical_path, drive.serial) == (f"{host}.1L1", "S1D00"), drive
    assert (changer.physical_path, changer.serial) == (f"{host}.1", "S1L00"), changer
    assert (drive.vendor, drive.product) == ("TAPEKIT", "VIRTUAL-TAPE"), drive


def check_drive_contract() -> None:
    def fresh(*, is_protected: bool = False, **settings: Any) -> CdbDrive:
        made = library(**settings)
        if is_protected:
            cartridge = made.library.open_cartridge("T00000", shared=False)
            cartridge.set_protected(is_protected=True)
            cartridge.close()
        insert(made)
        return open_drive()

    for make, checks in (
        (fresh, [check for check in WRITING_CHECKS if check.__name__ not in SPARED]),
        (fresh, [*MOTION_CHECKS, prepare_reopen]),
        (open_drive, [check_reopened]),
        (lambda: fresh(**SMALL), [check_end_of_medium, check_full_tape_takes_marks]),
        (lambda: fresh(is_protected=True), [check_protected]),
        (lambda: fresh(has_tape=False), [check_no_tape]),
    ):
        for check in checks:
            drive = make()
            try:
                check(drive)
            finally:
                drive.close()


def check_changer_contract() -> None:
    def fresh() -> MediaChanger:
        insert(library())
        return driver().open_changer(address(CHANGER_LUN))

    check_media_changer(fresh)


def check_long_records_and_fixed_blocks() -> None:
    with fresh_drive() as drive:
        data = os.urandom(MIB)
        assert drive.write_records([memoryview(data)], MIB) == 1
        drive.write_filemarks(1)
        drive.rewind()
        into = memoryview(bytearray(2 * MIB))
        run = drive.read_records(into, MIB, MIB)
        assert (run.length, bytes(into[:MIB])) == (MIB, data)
        _write_and_read_blocks(drive.door, data[: MIB // 2])


def _write_and_read_blocks(door: CdbDoor | None, data: bytes) -> None:
    """Blocks of 1 KiB, many at a time, and more wanted than there are."""
    assert door is not None
    count = len(data) // 1024
    select = bytes.fromhex("00 00 10 08 00 000000 00 000400")
    for cdb, sent in (
        (tape_command("REWIND").build(), b""),
        (tape_command("MODE SELECT(6)").build(page_format=1, list_length=len(select)), select),
        (tape_command("WRITE(6)").build(fixed=1, count=count), data),
        (tape_command("WRITE FILEMARKS(6)").build(count=1), b""),
        (tape_command("REWIND").build(), b""),
    ):
        reply = door.execute(cdb, data_out=sent, timeout_s=60)
        assert (reply.status, reply.written) == (0, len(sent)), (cdb.hex(), reply)
    read = tape_command("READ(6)").build(fixed=1, count=count + 88)
    reply = door.execute(read, data_in=(count + 88) * 1024, timeout_s=60)
    sense = decode_sense(reply.sense)
    assert (sense.filemark, sense.information) == (True, 88), sense
    assert reply.data == data


def check_short_reads_have_their_length() -> None:
    with fresh_drive() as drive:
        drive.write_records([memoryview(b"abc")], 3)
        drive.rewind()
        assert drive.door is not None
        read = tape_command("READ(6)").build(sili=1, count=4096)
        assert drive.door.execute(read, data_in=4096, timeout_s=60).data == b"abc"
        reply = drive.door.execute(read, data_in=4096, timeout_s=60)
        assert (decode_sense(reply.sense).key, reply.data) == (SenseKey.BLANK_CHECK, b""), reply


def check_logs_are_read_and_modes_are_set() -> None:
    with fresh_drive() as drive:
        assert drive.status().total_bytes
        assert drive.door is not None
        log = tape_command("LOG SENSE").build(control=1, page=TAPE_ALERT_PAGE, allocation=0x200)
        reply = drive.door.execute(log, data_in=0x200, timeout_s=60)
        assert (reply.status, len(reply.data)) == (0, 0x144), reply
        drive.adjust(DriveSetup(compression="a", density=0x7E, algorithm=1, timeouts_s={8: 9.0}))
        assert drive.status().has_tape


def check_one_process_at_a_time() -> None:
    with fresh_drive():
        assert _refusal(open_drive) is Condition.BUSY
    open_drive().close()


def check_devices_come_and_go() -> None:
    insert(library())
    made = driver()
    assert [d.serial for d in made.discover()] == ["S1D00"]
    unit = UNITS[OTHER_LUN] = guest_target.Unit(OTHER_LUN, OPENED[OTHER_LUN].door)

    async def come_and_go() -> None:
        with trio.fail_after(60):
            await made.wait_for_change()
            for act, look in ((unit.attach, come), (unit.detach, go)):
                await trio.to_thread.run_sync(act)
                await made.wait_for_change()
                await trio.to_thread.run_sync(look)

    opened: list[CdbDrive] = []
    place: list[str] = []

    def come() -> None:
        assert [d.serial for d in made.discover()] == ["S1D00", "S1D01"]
        place.append(address(OTHER_LUN))
        opened.append(made.open_drive(place[0]))
        assert not opened[0].status().has_tape

    def go() -> None:
        assert [d.serial for d in made.discover()] == ["S1D00"]
        assert _refusal(opened[0].status) is Condition.NO_DEVICE
        opened[0].close()
        assert _refusal(lambda: made.open_drive(place[0])) is Condition.NO_DEVICE

    trio.run(come_and_go)


def _refusal(work: Callable[[], object]) -> Condition:
    try:
        work()
    except TapeError as error:
        return error.condition
    raise AssertionError("it was not refused")


def check_a_volume_comes_back() -> None:
    insert(library())
    shutil.copytree(sys.argv[2], SCRATCH / "stack", symlinks=True)
    stack = Stack(SCRATCH / "stack", int(sys.argv[3]))
    make_tree(stack.volume, files=40, seed=7, wide=30, deep=4, far=1 << 20)
    (stack.volume / "large").write_bytes(os.urandom(8 * MIB))
    stack.start()
    trio.run(_back_and_forth, stack)
    assert stack.stop() == 0, stack.log.read_text()
    found = compare_trees(SCRATCH / "kept", stack.volume)
    assert [str(each) for each in found if each.path != "."] == []


async def _back_and_forth(stack: Stack) -> None:
    async with NdmpClient.connect("127.0.0.1", stack.port, clock=time.time) as client:
        await client.open()
        await client.authenticate(AuthType.MD5, "ndmp", stack.password.encode())
        await robot_steps.open_device(client, "mc0")
        inquiry = await robot_steps.execute(client, bytes.fromhex("12 00 00 00 24 00"), data_in=36)
        assert inquiry.is_good, inquiry
        await robot_steps.close(client)
        environment = (("FILESYSTEM", "/vs1/vol1"), ("LEVEL", "0"), ("HIST", "y"))
        plan = BackupPlan(tape=TapeAt("nrst0a"), environment=environment, record_size=64 * 1024)
        result = await back_up(client, plan)
        (SCRATCH / "kept").mkdir()
        for path in list(stack.volume.iterdir()):
            path.rename(SCRATCH / "kept" / path.name)
        restore = RecoverPlan(
            parts=result.parts, environment=result.environment, record_size=plan.record_size
        )
        await recover(client, restore)


STAND_STILL = """
kill -STOP $0
until grep -q '^State:.T' /proc/$0/status; do :; done
kill -CONT $0
"""


class StoppingDoor:
    """A device at which the process stands still while it has a record at
    work, as under a debugger; counts records.
    """

    def __init__(self, door: CdbDoor) -> None:
        self._door = door
        self.written = 0

    def execute(self, cdb: bytes, **values: Any) -> CdbReply:
        if cdb[0] == tape_command("WRITE(6)").opcode:
            self.written += 1
            subprocess.run(["/bin/sh", "-c", STAND_STILL, str(os.getpid())], check=True)
        return self._door.execute(cdb, **values)


def check_a_process_that_stood_still_writes_once() -> None:
    """The kernel begins an interrupted ioctl anew, and must not find one."""
    insert(library())
    stopping = UNITS[DRIVE_LUN].door = StoppingDoor(UNITS[DRIVE_LUN].door)
    drive = open_drive()
    try:
        assert drive.write_records([memoryview(b"once")], 4) == 1
        assert stopping.written == 1, stopping.written
        drive.rewind()
        assert drive.read_record(100) == b"once"
        assert drive.space_records(1) == 0
    finally:
        drive.close()


CHECKS = (
    check_discovery,
    check_short_reads_have_their_length,
    check_long_records_and_fixed_blocks,
    check_logs_are_read_and_modes_are_set,
    check_one_process_at_a_time,
    check_a_process_that_stood_still_writes_once,
    check_changer_contract,
    check_devices_come_and_go,
    check_a_volume_comes_back,
    check_drive_contract,
)


def main() -> None:
    """Set the units up and run all checks."""
    SCRATCH.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", str(SCRATCH)], check=True)
    started = time.monotonic()
    guest_target.load_modules(sys.argv[1])
    insert(library())
    for lun in (CHANGER_LUN, DRIVE_LUN):
        UNITS[lun] = guest_target.Unit(lun, OPENED[lun].door)
        UNITS[lun].attach()
    print(f"units are attached after {time.monotonic() - started:.1f} s", flush=True)
    for check in CHECKS:
        started = time.monotonic()
        try:
            check()
        except (AssertionError, OSError, TapekitError, subprocess.SubprocessError) as error:
            told = getattr(error, "stderr", None) or b""
            print(f"FAILED {check.__name__}\n{traceback.format_exc()}{told!r}", flush=True)
        else:
            print(f"ok {check.__name__} {time.monotonic() - started:.1f} s", flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
