"""Sessions that write, while drives fail, go offline, are reset, and lose their tapes.

Three clients append streams to whatever tape is in a drive, each by a mover,
and an administrator does to the drives whatever comes to mind. Nobody knows
which of the two is first, so what is claimed holds in any order: each request
is answered, each transfer ends, a stream whose filemark was acknowledged is on
a tape as a whole, and nobody holds a drive when all have gone.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio

from administrator import asked
from tape_faults import clear
from tapekit.errors import TapekitError
from tapekit.hookspecs.operations import NoRequest
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import tape
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import (
    UNLIMITED,
    AddrType,
    MoverHaltReason,
    MoverMode,
    MtioOp,
    NdmpError,
    TapeOpenMode,
)
from tapekit_tape_devices.drive_operations import (
    ONLINE,
    POSITION,
    RESET,
    STATISTICS,
    TRACE,
    DriveRequest,
    Movement,
    OnlineRequest,
    PositionRequest,
    TraceRequest,
)
from tapekit_tape_devices.library_operations import (
    LIBRARY,
    LIBRARY_MOVE,
    LIBRARY_UNLOAD,
    DriveToUnload,
    LibraryChoice,
    MoveRequest,
)
from tapekit_tape_devices.operations import DEVICES
from tapekit_vtape.faults import DeviceFault, FaultKind
from tapekit_vtape.operations import FAULT_ADD

if TYPE_CHECKING:
    from collections.abc import Callable

    from session_stack import ServedStack
    from tapekit_ndmp_v4.client import NdmpClient

DRIVES: Final = 2
RECORD: Final = 4096
STREAMS: Final = 25
PATIENCE_S: Final = 60
FAULTS: Final = (
    FaultKind.NOT_READY,
    FaultKind.OFFLINE,
    FaultKind.HARDWARE_ERROR,
    FaultKind.WRITE_ERROR,
    FaultKind.RESERVED,
    FaultKind.JAM,
)


class Storm:
    """What the clients know of their streams, and what they were told."""

    def __init__(self, stack: ServedStack, seed: int) -> None:
        self.stack = stack
        self.seed = seed
        self.kept: list[bytes] = []
        """Streams whose filemarks were acknowledged."""
        self.told: list[str] = []
        self.failed = 0

    async def client(self, number: int) -> None:
        """Append streams, as far as drives let it."""
        choose = Random(f"{self.seed} client {number}")
        for count in range(STREAMS):
            stream = f"stream {number}.{count} ".encode() * choose.randrange(100, 3000)
            stream += bytes(-len(stream) % RECORD)
            async with self.stack.client() as client:
                client.on_post(m.LogMessagePost, lambda post: self.told.append(post.entry))
                try:
                    with trio.fail_after(PATIENCE_S):
                        await self.append(client, f"nrst{choose.randrange(DRIVES)}a", stream)
                        if choose.random() < 0.5:
                            await tape.close(client)
                except NdmpReplyError as error:
                    if error.code == NdmpError.UNDEFINED_ERR:
                        raise
                    self.failed += 1

    async def append(self, client: NdmpClient, device: str, stream: bytes) -> None:
        """One stream at the end of the tape, as a tape file if all goes well."""
        await tape.open_device(client, device, TapeOpenMode.RDWR)
        await client.call(m.TapeMtioRequest(tape_op=MtioOp.FSF, count=100_000))
        await client.call(m.MoverSetRecordSizeRequest(len=RECORD))
        await client.call(m.MoverSetWindowRequest(offset=0, length=UNLIMITED))
        listening = await client.call(
            m.MoverListenRequest(mode=MoverMode.READ, addr_type=AddrType.TCP)
        )
        port = listening.connect_addr.tcp_addr[0].port
        async with await trio.open_tcp_stream("127.0.0.1", port) as peer:
            try:
                await peer.send_all(stream)
                await peer.send_eof()
            except trio.BrokenResourceError:
                pass  # The mover halts, and says why.
            halted = await client.wait_for(m.NotifyMoverHaltedPost)
        moved = (await client.call(m.MoverGetStateRequest())).bytes_moved
        await client.call(m.MoverStopRequest())
        if halted.reason is not MoverHaltReason.CONNECT_CLOSED:
            assert halted.reason is MoverHaltReason.MEDIA_ERROR, self.told
            self.failed += 1
            return
        assert moved == len(stream)
        await client.call(m.TapeMtioRequest(tape_op=MtioOp.EOF, count=1))
        self.kept.append(stream)

    async def administrator(self, done: Callable[[], bool]) -> None:
        """Do to drives what comes to mind; what is refused is refused."""
        choose = Random(f"{self.seed} administrator")
        while not done():
            drive, other = f"st{choose.randrange(DRIVES)}", choose.randrange(DRIVES)
            operation, request = choose.choice(
                [
                    (ONLINE, OnlineRequest(drive=drive, is_online=choose.random() < 0.6)),
                    (ONLINE, OnlineRequest(drive=drive, is_online=True)),
                    (RESET, DriveRequest(drive=drive)),
                    (POSITION, PositionRequest(drive=drive, movement=Movement.REWIND)),
                    (TRACE, TraceRequest(is_on=choose.random() < 0.5)),
                    (STATISTICS, NoRequest()),
                    (FAULT_ADD, self.fault(choose, other)),
                    (LIBRARY_UNLOAD, DriveToUnload(changer="mc0", drive=other)),
                    (
                        LIBRARY_MOVE,
                        MoveRequest(
                            changer="mc0",
                            source=f"slot {choose.randrange(4)}",
                            destination=f"drive {other}",
                        ),
                    ),
                ]
            )
            try:
                await asked(self.stack, operation, request)  # type: ignore[arg-type]  # each with its own
            except TapekitError as refused:
                self.told.append(refused.advice)

    def fault(self, choose: Random, drive: int) -> DeviceFault:
        kind = choose.choice(FAULTS)
        return DeviceFault(kind=kind, times=1, drive=None if kind is FaultKind.JAM else drive)

    async def rage(self) -> None:
        """All at once, until the clients are through."""
        running = 3

        async def one(number: int) -> None:
            nonlocal running
            try:
                await self.client(number)
            finally:
                running -= 1

        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(one, number)
            nursery.start_soon(self.administrator, lambda: not running)


def tape_files(stack: ServedStack) -> list[bytes]:
    """The tape files of all cartridges."""
    driver: Any = stack.kernel.tape_drivers["vtape"]
    library = driver.of().library
    files = []
    for row in library.rows():
        cartridge = library.open_cartridge(row.barcode, shared=True)
        try:
            for file in cartridge.tape.files():
                stop = file.first_object + file.records
                files.append(b"".join(cartridge.contents(file.first_object, stop)))
        finally:
            cartridge.close()
    return files


@pytest.mark.parametrize("seed", range(2))
async def test_nothing_that_was_acknowledged_is_lost(stack: ServedStack, seed: int) -> None:
    storm = Storm(stack, seed)
    with trio.fail_after(3 * PATIENCE_S):
        await storm.rage()
    defects = ("the mover failed", "an internal error")
    assert not [entry for entry in storm.told if entry.startswith(defects)]
    await clear(stack)
    for number in range(DRIVES):
        await asked(stack, ONLINE, OnlineRequest(drive=f"st{number}", is_online=True))
    devices = await asked(stack, DEVICES, NoRequest())
    assert [one.holder for one in (*devices.drives, *devices.changers) if one.holder] == []
    files = tape_files(stack)
    for stream in storm.kept:
        assert sum(file.endswith(stream) for file in files) == 1
    async with stack.client() as client:
        with trio.fail_after(PATIENCE_S):
            # Whatever has happened to the drive, it works.
            await into_drive(stack, "VT0008")
            await storm.append(client, "nrst0a", bytes(RECORD))
    assert storm.kept[-1] == bytes(RECORD)


async def into_drive(stack: ServedStack, cartridge: str) -> None:
    """Put a cartridge that was in its slot all the time into the first drive."""
    devices = await asked(stack, LIBRARY, LibraryChoice(changer="mc0"))
    if any(place.name == "drive 0" and place.is_full for place in devices.places):
        await asked(stack, LIBRARY_UNLOAD, DriveToUnload(changer="mc0", drive=0))
    request = MoveRequest(changer="mc0", source=cartridge, destination="drive 0")
    await asked(stack, LIBRARY_MOVE, request)
