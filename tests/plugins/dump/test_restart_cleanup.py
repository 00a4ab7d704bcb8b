"""What a start removes of restartable contexts, and what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from tapekit_dump.errors import CATALOGUE
from tapekit_dump.restart_cleanup import cleaning_up

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import pytest

    from tapekit.errors import TapekitError


class MemoryKernel:
    """Runs tasks in a nursery."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery

    def start_task(self, run: Callable[[], Awaitable[object]], name: str) -> None:
        self._nursery.start_soon(run, name=name)


class MemoryContexts:
    """Contexts of which one cannot be removed."""

    def __init__(self) -> None:
        self.calls = 0

    def clean_up(self) -> list[TapekitError]:
        self.calls += 1
        return [CATALOGUE.error("no-restart-context", context="stubborn")]


async def test_contexts_are_cleaned_up_once_beside_the_start(
    caplog: pytest.LogCaptureFixture,
) -> None:
    contexts = MemoryContexts()
    async with trio.open_nursery() as nursery, cleaning_up(MemoryKernel(nursery), contexts):
        assert contexts.calls == 0
    assert contexts.calls == 1
    assert "stubborn" in caplog.text


async def test_without_contexts_nothing_is_started() -> None:
    async with trio.open_nursery() as nursery, cleaning_up(MemoryKernel(nursery), None):
        assert not nursery.child_tasks
