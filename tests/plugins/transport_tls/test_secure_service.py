"""For whom secure connections are on: the settings, and what was switched."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tapekit.errors import CORE, TapekitError
from tapekit.kernel.memory_state import MemoryStateStore
from tapekit_transport_tls.secure_service import SecureService


class Storage:
    """Volumes of two storage virtual machines."""

    def filesystems(self) -> Any:
        return [SimpleNamespace(path=path) for path in ("/vs1/a", "/vs1/b", "/vs2/a")]


class FailingState(MemoryStateStore):
    """Remembers nothing new."""

    def change(self, namespace: str, values: Any) -> None:
        raise CORE.error("duplicate-provider", kind=namespace, first="one", second="two")


def loaded(*initial: str, state: MemoryStateStore | None = None) -> SecureService:
    service = SecureService(initial)
    kernel: Any = SimpleNamespace(state=state or MemoryStateStore(), storage=Storage())
    service.use(kernel)
    service.load()
    return service


def test_the_settings_say_how_it_is_at_first() -> None:
    assert loaded().svms == frozenset()
    assert not loaded().is_anywhere_on
    assert loaded("vs2").svms == {"vs2"}
    assert loaded("*").svms is None
    assert loaded("*").is_on("one of tomorrow")


@pytest.mark.requirement("R185")
async def test_what_was_switched_comes_first_and_is_remembered() -> None:
    state = MemoryStateStore()
    service = loaded("vs1", state=state)
    await service.switch("vs2", is_on=True)
    await service.switch("vs1", is_on=False)
    for each in (service, loaded("vs1", state=state)):
        assert (each.is_on("vs1"), each.is_on("vs2"), each.svms) == (False, True, {"vs2"})


async def test_all_but_one() -> None:
    service = loaded("*")
    await service.switch("vs1", is_on=False)
    assert service.svms == {"vs2"}
    await service.switch("vs2", is_on=False)
    assert service.svms == frozenset()
    assert not service.is_anywhere_on
    for svm in ("vs1", "vs2"):
        await service.switch(svm, is_on=True)
    assert service.svms is None


async def test_what_cannot_be_remembered_is_not_done() -> None:
    service = loaded(state=FailingState())
    with pytest.raises(TapekitError):
        await service.switch("vs1", is_on=True)
    assert not service.is_on("vs1")
