"""The switches of the service: what is remembered, and what it refuses."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from tapekit.errors import TapekitError
from tapekit.kernel.memory_state import MemoryStateStore
from tapekit_ndmp_v4.errors import CATALOGUE
from tapekit_ndmp_v4.service import ServiceSwitch

if TYPE_CHECKING:
    from collections.abc import Mapping


class FailingStateStore(MemoryStateStore):  # type: ignore[misc]  # final, and made to fail here
    def change(self, namespace: str, values: object) -> None:
        del namespace, values
        raise CATALOGUE.error("not-serving")


def switch(state: MemoryStateStore) -> ServiceSwitch:
    made = ServiceSwitch(state)
    made.load()
    return made


def test_everything_is_on_as_long_as_nobody_says_no() -> None:
    service = switch(MemoryStateStore())
    assert service.is_enabled
    assert service.is_running
    assert service.refusal() is None
    assert service.serves("vs1")
    assert service.offers(0x2051)
    assert service.sessions is None


async def test_switches_are_remembered_and_a_stop_is_not() -> None:
    state = MemoryStateStore()
    service = switch(state)
    await service.enable(is_on=False)
    await service.enable_svm("vs1", is_on=False)
    await service.enable_extension(0x2051, is_on=False)
    await service.limit_sessions(5)
    service.is_running = False
    for found in (service, later := switch(state)):
        assert not found.is_enabled
        assert not found.serves("vs1")
        assert found.serves("vs2")
        assert not found.offers(0x2051)
        assert found.sessions == 5
    assert later.is_running
    await later.enable(is_on=True)
    await later.enable_svm("vs1", is_on=True)
    await later.enable_extension(0x2051, is_on=True)
    await later.limit_sessions(None)
    assert not state.items("ndmp_v4.service")
    assert later.refusal() is None


async def test_a_refusal_says_which_switch_it_was() -> None:
    service = switch(MemoryStateStore())
    service.is_running = False
    refused = service.refusal()
    assert refused is not None
    assert refused.id == "ndmp_v4.service-stopped"
    await service.enable(is_on=False)
    refused = service.refusal()
    assert refused is not None
    assert refused.id == "ndmp_v4.service-off"


async def test_a_change_that_is_not_durable_is_not_true() -> None:
    service = switch(FailingStateStore())
    with pytest.raises(TapekitError):
        await service.enable(is_on=False)
    assert service.is_enabled


class HeldStateStore(MemoryStateStore):  # type: ignore[misc]  # final, and made to wait here
    """The first change is made at once, and told when the gate opens."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.changes = 0

    def change(self, namespace: str, values: Mapping[str, bytes | None]) -> None:
        super().change(namespace, values)
        self.changes += 1
        if self.changes == 1:
            assert self.gate.wait(60)


async def test_what_is_true_is_what_was_remembered_last() -> None:
    state = HeldStateStore()
    service = switch(state)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: service.enable(is_on=False))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(lambda: service.enable(is_on=True))
        await trio.testing.wait_all_tasks_blocked(0.05)
        state.gate.set()
    assert service.is_enabled == switch(state).is_enabled
