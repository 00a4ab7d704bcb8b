"""Images over any number of tapes, cut wherever a tape happens to end."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final

import pytest
import trio
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from memory_stack import connected, image, memory_stack
from tapekit.testing import MemoryTape
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import (
    BackupPlan,
    Connecting,
    NdmpClient,
    RecoverPlan,
    TapeAt,
    TapeWanted,
    back_up,
    recover,
)
from tapekit_ndmp_v4.numbers import AddrType
from tapekit_ndmp_v4.wire import Pair
from tapekit_trees.comparing import compare_trees

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from memory_stack import MemoryStack
    from tapekit_ndmp_v4.client import BackupResult

VOLUME: Final = "/vs1/vol1"
DEVICE: Final = TapeAt("nrst0a")
PROPERTY: Final = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemoryStack]:
    small = "[ndmp_v4]\nleast_record_bytes = 512"
    with memory_stack(tmp_path_factory.mktemp("stack"), small) as served:
        yield served


class Cartridges:
    """Tapes of one size, changed in the drive as a transfer asks for them."""

    def __init__(self, stack: MemoryStack, capacity: int, early_warning: int) -> None:
        self._stack = stack
        self._capacity, self._early_warning = capacity, early_warning
        self._offsets: dict[int, MemoryTape] = {}
        self.insert_new(0)

    def insert_new(self, offset: int) -> None:
        tape = MemoryTape(capacity=self._capacity, early_warning=self._early_warning)
        self._offsets[offset] = self._stack.tapes.inserted[0] = tape

    async def next_to_write(self, wanted: TapeWanted) -> TapeAt:
        self.insert_new(wanted.position)
        return DEVICE

    async def next_to_read(self, wanted: TapeWanted) -> TapeAt:
        self.insert(wanted.part.offset)
        return DEVICE

    def insert(self, offset: int) -> None:
        self._stack.tapes.inserted[0] = self._offsets[offset]

    @property
    def count(self) -> int:
        return len(self._offsets)


async def back_and_forth(
    stack: MemoryStack,
    cartridges: Cartridges,
    backup: BackupPlan,
    names: tuple[m.Name, ...],
    *,
    three_way: bool = False,
) -> BackupResult:
    """Back up over as many tapes as it takes, and restore from them."""

    async def run(data: NdmpClient, tape: NdmpClient | None) -> BackupResult:
        result = await back_up(data, backup, tape=tape, next_tape=cartridges.next_to_write)
        cartridges.insert(0)
        restore = RecoverPlan(
            parts=result.parts,
            environment=result.environment,
            names=names,
            butype=backup.butype,
            record_size=backup.record_size,
            connecting=backup.connecting,
        )
        await recover(data, restore, tape=tape, next_tape=cartridges.next_to_read)
        return result

    async with connected(stack.port) as data:
        if not three_way:
            return await run(data, None)
        async with connected(stack.port) as tape:
            return await run(data, tape)


@st.composite
def transfers(draw: st.DrawFn) -> tuple[int, int, int, int]:
    """Length, record size, capacity and early warning that fit together."""
    record = draw(
        st.sampled_from([1024, 1025, 4096, 10240, 65536, 262143, 262144])
        | st.integers(1024, 262144)
    )
    records_on_tape = draw(st.integers(1, 8))
    spare = draw(st.integers(0, record - 1))
    warning = draw(st.integers(0, record))
    length = draw(st.integers(0, 25 * record))
    return length, record, records_on_tape * record + spare + warning, warning


@settings(PROPERTY, max_examples=60)
@given(transfers(), st.booleans(), st.booleans())
@example((8 * 1024, 1024, 8 * 1024, 0), False, False)
@example((8 * 1024 + 1, 1024, 8 * 1024, 0), True, False)
@example((1, 262144, 262144, 0), False, True)
@example((0, 1024, 1024, 0), True, True)
def test_any_stream_comes_back_from_any_number_of_tapes(
    stack: MemoryStack, transfer: tuple[int, int, int, int], three_way: bool, data_listens: bool
) -> None:
    length, record, capacity, warning = transfer
    cartridges = Cartridges(stack, capacity, warning)
    plan = BackupPlan(
        tape=DEVICE,
        environment=(("BYTES", str(length)),),
        butype="memory",
        record_size=record,
        connecting=Connecting(data_listens=data_listens),
    )
    result = trio.run(lambda: back_and_forth(stack, cartridges, plan, (), three_way=three_way))
    (restored,) = stack.engine.restored
    padded = -(-length // record) * record
    assert restored == image(length).ljust(padded, b"\0")
    assert result.bytes_moved == padded
    assert [part.offset for part in result.parts] == sorted({part.offset for part in result.parts})
    assert sum(part.length for part in result.parts) == padded
    assert cartridges.count == len(result.parts)
    stack.until_free()


def make_files(stack: MemoryStack) -> None:
    """A volume in which headers, names and contents all meet record ends."""
    shutil.rmtree(stack.volume)
    (stack.volume / "a" / "b").mkdir(parents=True)
    for number, size in enumerate((0, 1, 511, 512, 1023, 1024, 1025, 7000, 20_000)):
        (stack.volume / "a" / f"file {number}").write_bytes(os.urandom(size))
    (stack.volume / "a" / "b" / "link").symlink_to("../file 3")
    os.link(stack.volume / "a" / "file 7", stack.volume / "a" / "b" / "hard link")
    with (stack.volume / "holes").open("wb") as file:
        file.truncate(600_000)
        file.seek(300_000)
        file.write(b"in the middle")


@pytest.mark.requirement("R011")
@pytest.mark.parametrize("records_on_tape", [1, 2, 3, 5, 7, 11, 17, 26])
@pytest.mark.parametrize("record", [1024, 1536, 10240])
def test_a_tree_comes_back_wherever_its_tapes_end(
    stack: MemoryStack, tmp_path: Path, records_on_tape: int, record: int
) -> None:
    """With records of one header's size some tape ends before, in and after
    every header, every name and every block.
    """
    make_files(stack)
    cartridges = Cartridges(stack, records_on_tape * record, 0)
    plan = BackupPlan(
        tape=DEVICE, environment=(("FILESYSTEM", VOLUME), ("HIST", "Y")), record_size=record
    )
    names = (m.Name(original_path="", destination_path=f"{VOLUME}/back"),)
    result = trio.run(lambda: back_and_forth(stack, cartridges, plan, names))
    assert cartridges.count == -(-result.bytes_moved // (records_on_tape * record))
    (stack.volume / "back").rename(tmp_path / "back")
    different = compare_trees(stack.volume, tmp_path / "back")
    assert [str(each) for each in different if each.path != "."] == []
    stack.until_free()


# Topologies.


@pytest.mark.requirement("R170")
@pytest.mark.parametrize("source_listens", [True, False])
@pytest.mark.parametrize("source_starts_first", [True, False])
def test_a_data_server_sends_to_another_one(
    stack: MemoryStack, source_listens: bool, source_starts_first: bool
) -> None:
    """No tape is involved: the stream of one is the stream of the other, and
    the client answers no request for data.
    """
    listening, connecting = (0, 1) if source_listens else (1, 0)
    length = 3_000_000

    async def copy() -> None:
        async with connected(stack.port) as source, connected(stack.port) as target:
            both = (source, target)
            listen = m.DataListenRequest(addr_type=AddrType.TCP)
            address = (await both[listening].call(listen)).connect_addr
            await both[connecting].call(m.DataConnectRequest(addr=address))
            starts = [
                source.call(
                    m.DataStartBackupRequest(
                        butype_name="memory", env=(Pair("BYTES", str(length)),)
                    )
                ),
                target.call(m.DataStartRecoverRequest(env=(), nlist=(), butype_name="memory")),
            ]
            for start in starts if source_starts_first else reversed(starts):
                await start
            for each in both:
                assert (await each.wait_for(m.NotifyDataHaltedPost)).reason == 1
                await each.call(m.DataStopRequest())

    trio.run(copy)
    assert stack.engine.restored == [image(length)]
    stack.until_free()


def test_a_restore_may_start_before_the_tape_is_there(stack: MemoryStack) -> None:
    """The order of the two sessions is the client's own."""
    stack.tapes.inserted[0] = tape = MemoryTape()
    tape.items = [image(4096), None]

    async def restore() -> None:
        async with connected(stack.port) as data, connected(stack.port) as mover:
            listen = m.DataListenRequest(addr_type=AddrType.TCP)
            address = (await data.call(listen)).connect_addr
            await mover.call(m.TapeOpenRequest(device="nrst0a", mode=0))
            await mover.call(m.MoverConnectRequest(mode=1, addr=address))
            await mover.call(m.MoverReadRequest(offset=0, length=2**64 - 1))
            await mover.wait_for(m.NotifyMoverPausedPost)
            await data.call(m.DataStartRecoverRequest(env=(), nlist=(), butype_name="memory"))
            await data.wait_for(m.NotifyDataReadPost)
            await mover.call(m.MoverCloseRequest())
            await data.wait_for(m.NotifyDataHaltedPost)

    trio.run(restore)
    assert stack.engine.restored == [image(4096)]
    stack.until_free()


def test_a_tape_is_copied_by_two_movers(stack: MemoryStack) -> None:
    """One mover reads a tape and sends, the other receives and writes."""
    source = stack.tapes.inserted[0] = MemoryTape()
    target = stack.tapes.inserted[1] = MemoryTape()
    data = image(10 * 1024)
    source.items = [*(data[at : at + 1024] for at in range(0, len(data), 1024)), None]

    async def copy() -> None:
        async with connected(stack.port) as reader, connected(stack.port) as writer:
            for client, device, mode in ((reader, "nrst0a", 0), (writer, "nrst1a", 1)):
                await client.call(m.TapeOpenRequest(device=device, mode=mode))
                await client.call(m.MoverSetRecordSizeRequest(len=1024))
            listen = m.MoverListenRequest(mode=0, addr_type=AddrType.TCP)
            address = (await writer.call(listen)).connect_addr
            await reader.call(m.MoverConnectRequest(mode=1, addr=address))
            await reader.call(m.MoverReadRequest(offset=0, length=len(data)))
            while (await reader.call(m.MoverGetStateRequest())).bytes_left_to_read:
                pass
            await reader.call(m.MoverCloseRequest())
            assert (await writer.wait_for(m.NotifyMoverHaltedPost)).reason == 1

    trio.run(copy)
    assert target.files() == [source.files()[0]]
    stack.until_free()
