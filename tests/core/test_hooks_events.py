"""``tapekit_on_event``: who hears, from where, and what an error means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from tapekit.hookspecs.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from tapekit.kernel import StackKernel

    Assemble = Callable[..., StackKernel]
    MakePlugin = Callable[..., Any]

EVENT = Event(name="ndmp_v4.session-opened", facts={"session": 7}, time_s=1.5)


def hearing(heard: list[tuple[str, Event]], name: str) -> Any:
    return lambda self, event: heard.append((name, event))


def test_all_plugins_hear_of_an_event_in_dependency_order(
    plugin: MakePlugin, assembled: Assemble
) -> None:
    heard: list[tuple[str, Event]] = []
    kernel = assembled(
        plugin("late", requires=("early",), tapekit_on_event=hearing(heard, "late")),
        plugin("deaf"),
        plugin("early", tapekit_on_event=hearing(heard, "early")),
    )
    kernel.announce(EVENT)
    assert heard == [("early", EVENT), ("late", EVENT)]


def test_an_error_reaches_the_log_and_nobody_else(
    plugin: MakePlugin, assembled: Assemble, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[tuple[str, Event]] = []

    def fail(self: Any, event: Event) -> None:
        raise KeyError("no such session")

    kernel = assembled(
        plugin("a", tapekit_on_event=fail), plugin("b", tapekit_on_event=hearing(heard, "b"))
    )
    kernel.announce(EVENT)
    assert heard == [("b", EVENT)]
    record = caplog.records[-1]
    assert record.getMessage() == 'plugin "a" failed on the event ndmp_v4.session-opened'
    assert record.exc_info is not None
    assert record.exc_info[0] is KeyError


async def test_events_may_come_from_threads(plugin: MakePlugin, assembled: Assemble) -> None:
    heard: list[tuple[str, Event]] = []
    kernel = assembled(plugin("a", tapekit_on_event=hearing(heard, "a")))
    await trio.to_thread.run_sync(kernel.announce, EVENT)
    assert heard == [("a", EVENT)]
