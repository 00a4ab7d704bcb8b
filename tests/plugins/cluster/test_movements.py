"""The course of movements, without sessions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tapekit.errors import CORE, TapekitError
from tapekit.hookspecs.movements import JobKind
from tapekit.hookspecs.operations import NoRequest
from tapekit.kernel.memory_state import MemoryStateStore
from tapekit.kernel.volume_jobs import JobRegistry
from tapekit_cluster.movement_operations import (
    Domain,
    MovementBegin,
    MovementEnd,
    MovementKind,
)
from tapekit_cluster.movements import StorageMovements

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tapekit.hookspecs.events import Event
    from tapekit.hookspecs.movements import Stay

TAKEOVER = MovementBegin(kind=MovementKind.TAKEOVER, node="n1")


class MemoryState:
    """A store that can fail on cue."""

    def __init__(self) -> None:
        self._store = MemoryStateStore()
        self.failing = False

    def get(self, namespace: str, key: str) -> bytes | None:
        return self._store.get(namespace, key)

    def items(self, namespace: str, prefix: str = "") -> Mapping[str, bytes]:
        return self._store.items(namespace, prefix)

    def change(self, namespace: str, values: Mapping[str, bytes | None]) -> None:
        if self.failing:
            raise CORE.error("no-management", file=namespace, operation="a change")
        self._store.change(namespace, values)


class PlainStorage:
    """Volumes that are in no aggregates."""

    def filesystems(self) -> Sequence[Any]:
        return [SimpleNamespace(path="/v/a"), SimpleNamespace(path="/v/b")]


class MemoryKernel:
    """As much of a kernel as movements need."""

    node_name = "n1"

    def __init__(self) -> None:
        self.storage: PlainStorage | None = PlainStorage()
        self.state = MemoryState()
        self.volume_jobs = JobRegistry(self.clock)
        self.events: list[Event] = []
        self.on_event: Callable[[], object] = int

    def clock(self) -> float:
        return 1000.0

    def announce(self, event: Event) -> None:
        self.events.append(event)
        self.on_event()

    def back_up(self, volume: str = "/v/a") -> Stay:
        return self.volume_jobs.enter(
            volumes=(volume,), engine="dump", kind=JobKind.BACKUP, holder="session 1"
        )

    def told(self) -> list[str]:
        return [event.name for event in self.events]


@pytest.fixture
def kernel() -> MemoryKernel:
    return MemoryKernel()


def movements(kernel: Any) -> StorageMovements:
    made = StorageMovements(lambda: kernel)
    made.load()
    return made


async def test_a_storage_without_aggregates_moves_as_a_whole(kernel: MemoryKernel) -> None:
    made = movements(kernel)
    assert (await made.begin(TAKEOVER)).movement.aggregates == ("aggr1",)
    with pytest.raises(TapekitError, match="no dump backup begins"):
        kernel.back_up("/v/b")
    (row,) = (await made.list(NoRequest())).aggregates
    assert row.volumes == ("/v/a", "/v/b")
    await made.end(MovementEnd(domain=Domain.FAILOVER, is_complete=True))
    kernel.back_up("/v/b")
    assert kernel.told() == ["cluster.movement-began", "cluster.movement-completed"]


async def test_a_stack_without_volumes_has_nothing_that_stops_a_movement(
    kernel: MemoryKernel,
) -> None:
    kernel.storage = None
    assert (await movements(kernel).begin(TAKEOVER)).aborted == ()


async def test_a_veto_leaves_all_as_it_was(kernel: MemoryKernel) -> None:
    made, stay = movements(kernel), kernel.back_up()
    with pytest.raises(TapekitError) as caught:
        await made.begin(TAKEOVER)
    assert caught.value.id == "cluster.movement-vetoed"
    assert stay.aborted is None
    kernel.back_up()
    assert (await made.list(NoRequest())).movements == ()
    assert kernel.told() == ["cluster.movement-vetoed"]


async def test_a_movement_that_cannot_be_remembered_does_not_begin(kernel: MemoryKernel) -> None:
    made, stay = movements(kernel), kernel.back_up()
    kernel.state.failing = True
    request = MovementBegin(kind=MovementKind.TAKEOVER, node="n1", overrides=True)
    with pytest.raises(TapekitError):
        await made.begin(request)
    assert stay.aborted is None
    kernel.back_up()


async def test_a_movement_that_cannot_be_forgotten_is_still_on(kernel: MemoryKernel) -> None:
    made = movements(kernel)
    await made.begin(TAKEOVER)
    kernel.state.failing = True
    with pytest.raises(TapekitError):
        await made.end(MovementEnd(domain=Domain.FAILOVER, is_complete=False))
    with pytest.raises(TapekitError, match="no dump backup begins"):
        kernel.back_up()


async def test_an_aborted_job_is_waited_for(kernel: MemoryKernel) -> None:
    made, stay = movements(kernel), kernel.back_up()
    request = MovementBegin(kind=MovementKind.TAKEOVER, node="n1", is_automatic=True)
    with stay.at_work(stay.leave):
        begun = await made.begin(request)
    assert begun.aborted == ("session 1, dump backup of /v/a",)
    assert stay.aborted is not None
    assert not stay.aborted.may_restart


async def test_a_movement_may_be_abandoned_while_it_waits_for_jobs(kernel: MemoryKernel) -> None:
    made, stay = movements(kernel), kernel.back_up()
    request = MovementBegin(kind=MovementKind.TAKEOVER, node="n1", overrides=True)
    aborted, failures = trio.Event(), []
    token = trio.lowlevel.current_trio_token()

    async def begin() -> None:
        try:
            await made.begin(request)
        except TapekitError as error:
            failures.append(error.id)

    with stay.at_work(lambda: token.run_sync_soon(aborted.set)):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(begin)
            await aborted.wait()
            await made.end(MovementEnd(domain=Domain.FAILOVER, is_complete=False))
            stay.leave()
    assert failures == ["cluster.no-movement"]


async def test_a_movement_that_was_begun_once_more_is_another_one(kernel: MemoryKernel) -> None:
    made, stay = movements(kernel), kernel.back_up()
    request = MovementBegin(kind=MovementKind.TAKEOVER, node="n1", overrides=True)
    sender, aborts = trio.open_memory_channel[None](2)
    became: dict[str, str] = {}

    async def begin(name: str) -> None:
        try:
            became[name] = (await made.begin(request)).movement.kind.name
        except TapekitError as error:
            became[name] = error.id

    with stay.at_work(lambda: sender.send_nowait(None)):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(begin, "first")
            await aborts.receive()
            await made.end(MovementEnd(domain=Domain.FAILOVER, is_complete=False))
            nursery.start_soon(begin, "second")
            await aborts.receive()
            stay.leave()
    assert became == {"first": "cluster.no-movement", "second": "TAKEOVER"}


async def test_a_movement_that_is_asked_for_again_is_the_same(kernel: MemoryKernel) -> None:
    made = movements(kernel)
    first = await made.begin(TAKEOVER)
    again = await made.begin(MovementBegin(kind=MovementKind.TAKEOVER, node="n1", overrides=True))
    assert again.movement == first.movement
    assert not again.movement.overrides


async def test_a_job_that_is_complete_is_not_told_to_be_aborted(kernel: MemoryKernel) -> None:
    made, stay = movements(kernel), kernel.back_up()
    stay.completes()
    began, begun = trio.Event(), []
    kernel.on_event = began.set

    async def begin() -> None:
        request = MovementBegin(kind=MovementKind.TAKEOVER, node="n1", is_automatic=True)
        begun.append(await made.begin(request))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(begin)
        await began.wait()
        stay.leave()
    assert stay.aborted is None
    assert begun[0].aborted == ()


async def test_a_volume_that_left_the_stack_moves_with_anything(kernel: MemoryKernel) -> None:
    made, _ = movements(kernel), kernel.back_up("/v/gone")
    with pytest.raises(TapekitError, match="/v/gone"):
        await made.begin(MovementBegin(kind=MovementKind.SWITCHOVER))
