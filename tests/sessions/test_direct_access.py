"""Direct access restores through whole sessions, from one tape and from many."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
import trio

from memory_stack import connected, memory_stack
from tapekit.testing import MemoryTape
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import (
    BackupPlan,
    Positions,
    RecoverPlan,
    TapeAt,
    TapeWanted,
    Watch,
    back_up,
    recover,
)
from tapekit_ndmp_v4.numbers import (
    UNLIMITED,
    AddrType,
    DataHaltReason,
    MoverHaltReason,
    MoverMode,
    TapeOpenMode,
)
from tapekit_ndmp_v4.wire import Pair
from tapekit_trees.comparing import compare_trees

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from memory_stack import MemoryStack
    from tapekit_ndmp_v4.client import BackupResult, NdmpClient, RecoverResult
    from tapekit_ndmp_v4.wire import Message

VOLUME = "/vs1/vol1"
DEVICE = TapeAt("nrst0a")
MIB = 1 << 20
THREE_WAY = pytest.mark.parametrize("three_way", [False, True], ids=["one session", "three-way"])


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[MemoryStack]:
    with memory_stack(tmp_path) as served:
        yield served


class Shelf:
    """Tapes of one size, by the offset of the part that is on each."""

    def __init__(self, stack: MemoryStack, capacity: int) -> None:
        self._inserted = stack.tapes.inserted
        self._capacity = capacity
        self._tapes: dict[int, MemoryTape] = {}
        self.loaded: list[int] = []
        self._insert_new(0)

    def _insert_new(self, offset: int) -> None:
        self._tapes[offset] = self._inserted[0] = MemoryTape(capacity=self._capacity)

    async def next_to_write(self, wanted: TapeWanted) -> TapeAt:
        self._insert_new(wanted.position)
        return DEVICE

    async def next_to_read(self, wanted: TapeWanted) -> TapeAt:
        self.loaded.append(wanted.part.offset)
        self._inserted[0] = self._tapes[wanted.part.offset]
        return DEVICE

    def rewind(self) -> None:
        self._inserted[0] = self._tapes[0]


class Run:
    """A backup, and direct restores of it."""

    def __init__(self, stack: MemoryStack, shelf: Shelf, *, three_way: bool, record: int) -> None:
        self.stack, self.shelf = stack, shelf
        self.three_way, self.record = three_way, record
        self.positions = Positions()
        self.posts: list[Message] = []
        self.backup: BackupResult

    def back_up(self) -> None:
        plan = BackupPlan(
            tape=DEVICE,
            environment=(("FILESYSTEM", VOLUME), ("HIST", "Y")),
            record_size=self.record,
        )
        watch = Watch(on_post=self.positions.add)

        async def run(data: Any, tape: Any) -> None:
            self.backup = await back_up(
                data, plan, tape=tape, next_tape=self.shelf.next_to_write, watch=watch
            )

        trio.run(self._in_sessions, run)

    def restore(self, *paths: str, **variables: str) -> RecoverResult:
        environment = {**dict(self.backup.environment), "DIRECT": "Y", **variables}
        plan = RecoverPlan(
            parts=self.backup.parts,
            environment=tuple(environment.items()),
            names=tuple(self.positions.name(path, f"{VOLUME}/back/{path}") for path in paths),
            record_size=self.record,
        )
        results: list[RecoverResult] = []
        self.shelf.rewind()
        watch = Watch(on_post=self.posts.append)

        async def run(data: Any, tape: Any) -> None:
            next_tape = self.shelf.next_to_read
            results.append(await recover(data, plan, tape=tape, next_tape=next_tape, watch=watch))

        trio.run(self._in_sessions, run)
        return results[0]

    async def _in_sessions(self, run: Any) -> None:
        async with connected(self.stack.port) as data:
            if not self.three_way:
                await run(data, None)
                return
            async with connected(self.stack.port) as tape:
                await run(data, tape)

    @property
    def results(self) -> dict[str, int]:
        return {
            each.name: int(each.recovery_status)
            for each in self.posts
            if isinstance(each, m.LogFilePost)
        }


def fill(volume: Path) -> None:
    for number in range(3):
        below = volume / f"dir{number}" / "inner"
        below.mkdir(parents=True)
        for name in range(12):
            (below / f"small{name}").write_bytes(os.urandom(900 * name))
        (volume / f"dir{number}" / "large").write_bytes(os.urandom(2 * MIB + 77))
        (volume / f"dir{number}").chmod(0o750)


@pytest.mark.requirement("R131")
@THREE_WAY
def test_one_file_moves_little_of_a_long_tape(stack: MemoryStack, three_way: bool) -> None:
    for number in range(6):
        (stack.volume / f"long{number}").write_bytes(os.urandom(8 * MIB))
    (stack.volume / "wanted").write_bytes(b"wanted" * 1000)
    run = Run(stack, Shelf(stack, 1 << 30), three_way=three_way, record=65536)
    run.back_up()
    result = run.restore("wanted")
    assert run.backup.bytes_processed > 48 * MIB
    assert result.bytes_processed < MIB
    assert result.bytes_moved < 3 * MIB
    assert run.results == {"wanted": 0}
    assert (stack.volume / "back/wanted").read_bytes() == b"wanted" * 1000


@pytest.mark.requirement("R131")
@pytest.mark.requirement("R134")
@THREE_WAY
@pytest.mark.parametrize("record", [10240, 65536])
def test_only_tapes_with_something_wanted_are_loaded(
    stack: MemoryStack, three_way: bool, record: int
) -> None:
    fill(stack.volume)
    run = Run(stack, Shelf(stack, MIB // record * record), three_way=three_way, record=record)
    run.back_up()
    assert len(run.backup.parts) > 5
    path = "dir1/inner/small11"
    _, position = run.positions.find(path) or (0, 0)
    run.restore(path)
    parts = {part.offset for part in run.backup.parts if part.holds(position)}
    assert set(run.shelf.loaded) & parts == parts
    assert len(run.shelf.loaded) <= (3 if three_way else 2)
    assert (stack.volume / "back" / path).read_bytes() == (stack.volume / path).read_bytes()


@pytest.mark.requirement("R134")
@pytest.mark.requirement("R150")
@THREE_WAY
@pytest.mark.parametrize("records_on_tape", [3, 20, 1000])
def test_directories_come_back_from_many_tapes(
    stack: MemoryStack, tmp_path: Path, three_way: bool, records_on_tape: int
) -> None:
    fill(stack.volume)
    run = Run(stack, Shelf(stack, records_on_tape * 65536), three_way=three_way, record=65536)
    run.back_up()
    run.restore("dir0", "dir2/inner", "dir1/large", ENHANCED_DAR_ENABLED="Y")
    assert run.results == {"dir0": 0, "dir2/inner": 0, "dir1/large": 0}
    back = stack.volume / "back"
    for path in ("dir0", "dir2/inner"):
        assert [str(each) for each in compare_trees(stack.volume / path, back / path)] == []
    assert (back / "dir1/large").read_bytes() == (stack.volume / "dir1/large").read_bytes()
    assert not (back / "dir1/inner").exists()


def test_positions_tell_paths_and_unknown_names(stack: MemoryStack) -> None:
    fill(stack.volume)
    run = Run(stack, Shelf(stack, 1 << 30), three_way=False, record=65536)
    run.back_up()
    assert run.positions.find("/dir0/inner/") == run.positions.find("dir0/inner")
    assert run.positions.find("dir0/none") is None
    with pytest.raises(KeyError):
        run.positions.name("none/at/all", VOLUME)


def test_a_local_mover_halts_when_the_data_server_has_all_it_wanted(stack: MemoryStack) -> None:
    fill(stack.volume)
    run = Run(stack, Shelf(stack, 1 << 30), three_way=False, record=65536)
    run.back_up()
    name = run.positions.name("dir1/inner/small3", f"{VOLUME}/back/small3")
    environment = (*run.backup.environment, ("DIRECT", "Y"))

    async def restore(client: NdmpClient, _tape: None) -> None:
        await client.call(m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.READ))
        await client.call(m.MoverSetRecordSizeRequest(len=run.record))
        await client.call(m.MoverSetWindowRequest(offset=0, length=UNLIMITED))
        await client.call(m.MoverListenRequest(mode=MoverMode.WRITE, addr_type=AddrType.LOCAL))
        await client.call(m.DataConnectRequest(addr=m.LocalAddr()))
        pairs = tuple(Pair(*each) for each in environment)
        await client.call(m.DataStartRecoverRequest(env=pairs, nlist=(name,), butype_name="dump"))
        with trio.fail_after(60):
            done = await client.wait_for(m.NotifyDataHaltedPost)
            halted = await client.wait_for(m.NotifyMoverHaltedPost)
        assert done.reason is DataHaltReason.SUCCESSFUL
        assert halted.reason is MoverHaltReason.CONNECT_CLOSED

    trio.run(run._in_sessions, restore)
    assert (stack.volume / "back/small3").stat().st_size == 2700
