"""``tapekit_on_assembled`` and ``tapekit_run``: when, in which order, and
what an error means.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tapekit.errors import CORE, TapekitError
from tapekit.kernel import StackKernel, StartErrors, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    Assemble = Callable[..., StackKernel]
    MakePlugin = Callable[..., Any]


async def never() -> AsyncIterator[object]:
    await trio.Event().wait()
    yield None


def working(plugin: MakePlugin, name: str, log: list[str], **options: Any) -> Any:
    """A plugin that writes down when its context is entered and left."""

    @contextlib.asynccontextmanager
    async def context(kernel: StackKernel) -> AsyncIterator[None]:
        log.append(f"enter {name}")
        try:
            yield
        finally:
            log.append(f"leave {name}")

    return plugin(name, tapekit_run=lambda self, kernel: context(kernel), **options)


def test_on_assembled_is_called_once_each_in_dependency_order(
    plugin: MakePlugin, assembled: Assemble
) -> None:
    met: list[tuple[str, StackKernel]] = []

    def meet(name: str) -> Any:
        return lambda self, kernel: met.append((name, kernel))

    kernel = assembled(
        plugin("late", requires=("early",), tapekit_on_assembled=meet("late")),
        plugin("early", tapekit_on_assembled=meet("early")),
    )
    assert met == [("early", kernel), ("late", kernel)]


def test_on_assembled_meets_everything_that_was_registered(
    plugin: MakePlugin, assembled: Assemble
) -> None:
    seen: list[object] = []
    store = {"get": None, "items": None, "change": None}
    assembled(
        plugin("a", tapekit_on_assembled=lambda self, kernel: seen.append(kernel.state)),
        plugin("b", tapekit_provide_state_store=lambda self: type("Store", (), store)()),
    )
    assert type(seen[0]).__name__ == "Store"


def test_all_errors_of_on_assembled_are_told(plugin: MakePlugin, assembled: Assemble) -> None:
    asked: list[str] = []

    def refuse(self: Any, kernel: StackKernel) -> None:
        raise CORE.error("site-exists", file="f")

    def crash(self: Any, kernel: StackKernel) -> None:
        raise ZeroDivisionError("oops")

    with pytest.raises(StartErrors) as refused:
        assembled(
            plugin("a", tapekit_on_assembled=refuse),
            plugin("b", tapekit_on_assembled=crash),
            plugin("c", tapekit_on_assembled=lambda self, kernel: asked.append("c")),
        )
    assert [error.id for error in refused.value.errors] == [
        "core.site-exists",
        "core.plugin-failed",
    ]
    assert isinstance(refused.value.errors[1].__cause__, ZeroDivisionError)
    assert asked == ["c"]


async def test_contexts_are_entered_in_dependency_order_and_left_in_reverse(
    plugin: MakePlugin, assembled: Assemble
) -> None:
    log: list[str] = []
    kernel = assembled(
        working(plugin, "late", log, requires=("early",)),
        working(plugin, "early", log),
        plugin("idle", tapekit_run=lambda self, kernel: None),
    )
    kernel.drain()
    await run(kernel, never(), log.append)
    assert log == ["enter early", "enter late", "leave late", "leave early"]


async def test_an_error_in_an_entry_ends_the_stack_and_leaves_the_others(
    plugin: MakePlugin, assembled: Assemble
) -> None:
    log: list[str] = []

    class Broken(contextlib.AbstractAsyncContextManager[None]):
        async def __aenter__(self) -> None:
            raise CORE.error("site-exists", file="f")

        async def __aexit__(self, *error: object) -> None:
            log.append("left what was never entered")

    kernel = assembled(
        working(plugin, "a", log),
        plugin("b", tapekit_run=lambda self, kernel: Broken()),
        working(plugin, "c", log),
    )
    with pytest.RaisesGroup(TapekitError):
        await run(kernel, never(), log.append)
    assert log == ["enter a", "leave a"]
    assert not kernel.is_ready
    assert kernel.draining.is_set()


async def test_an_error_in_a_body_ends_the_stack(plugin: MakePlugin, assembled: Assemble) -> None:
    log: list[str] = []

    @contextlib.asynccontextmanager
    async def crashing() -> AsyncIterator[None]:
        async def crash() -> None:
            raise ValueError("worker died")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(crash)
            yield

    kernel = assembled(
        working(plugin, "a", log),
        plugin("b", tapekit_run=lambda self, kernel: crashing()),
        working(plugin, "c", log),
    )
    with pytest.RaisesGroup(pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="worker died"))):
        await run(kernel, never(), log.append)
    assert log == ["enter a", "enter c", "leave c", "leave a"]


async def test_an_error_in_an_exit_ends_the_stack_after_the_other_exits(
    plugin: MakePlugin, assembled: Assemble
) -> None:
    log: list[str] = []

    @contextlib.asynccontextmanager
    async def stuck() -> AsyncIterator[None]:
        yield
        raise ValueError("would not close")

    kernel = assembled(
        working(plugin, "a", log), plugin("b", tapekit_run=lambda self, kernel: stuck())
    )
    kernel.drain()
    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="would not close")):
        await run(kernel, never(), log.append)
    assert log == ["enter a", "leave a"]
