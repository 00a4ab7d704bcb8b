"""The backup log in a stack: events in, lines out, on and off."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import trio
from typer.testing import CliRunner

from tapekit.errors import StartErrors
from tapekit.hookspecs.operations import NoReply
from tapekit.kernel import run
from tapekit_eventlog.operations import SWITCH, SwitchRequest
from tapekit_eventlog.plugin import EventlogPlugin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tapekit.hookspecs.events import Event
    from tapekit.kernel import StackKernel


NOW = 1_795_341_600.0


class Doors:
    """Management that only notes what is asked for."""

    def __init__(self) -> None:
        self.called: list[tuple[str, SwitchRequest]] = []

    def call(self, operation: Any, request: SwitchRequest, privilege: object = None) -> NoReply:
        assert privilege is None
        self.called.append((operation.name, request))
        return NoReply()

    def follow(self, feed: Any, request: object, privilege: object = None) -> Any:
        raise AssertionError(feed, request, privilege)


async def run_with(kernel: StackKernel, meanwhile: Callable[[], Any]) -> None:
    """Run a stack, do something, and stop it."""

    async def stop() -> AsyncIterator[None]:
        await meanwhile()
        yield

    await run(kernel, stop(), lambda _address: None)


def words(tmp_path: Path) -> list[str]:
    """The lines without type and time."""
    lines = (tmp_path / "log" / "backup").read_text().splitlines()
    return [line.split(" ", 7)[-1] for line in lines]


@pytest.mark.requirement("R301")
async def test_events_of_the_stack_are_in_the_log_once_it_has_stopped(
    assembled: Callable[..., StackKernel], happen: Callable[..., Event], tmp_path: Path
) -> None:
    kernel = assembled(EventlogPlugin, clock=lambda: NOW)

    async def back_up() -> None:
        kernel.announce(happen("dump.backup-started", path="/vs1/vol1", level=0))
        await trio.to_thread.run_sync(kernel.announce, happen("dump.backup-finished", bytes=1))

    await run_with(kernel, back_up)
    assert words(tmp_path) == [
        "Start_Logging",
        "/vs1/vol1(0) Start (Level 0, NDMP)",
        "/vs1/vol1(0) End (1 KB)",
    ]


@pytest.mark.requirement("R310")
async def test_the_operation_turns_it_off_and_on(
    assembled: Callable[..., StackKernel], tmp_path: Path
) -> None:
    kernel = assembled(EventlogPlugin, clock=lambda: NOW)
    switch = kernel.operations[SWITCH.name].perform

    async def off_and_on() -> None:
        for on in (False, True):
            assert await switch(SwitchRequest(on)) == NoReply()

    await run_with(kernel, off_and_on)
    assert words(tmp_path) == ["Start_Logging", "Stop_Logging", "Start_Logging"]


def test_commands_read_the_log_and_ask_the_running_stack(
    assembled: Callable[..., StackKernel], plugin: Callable[..., Any], tmp_path: Path
) -> None:
    doors = Doors()
    management = plugin("doors", tapekit_provide_management=lambda self: doors)
    group = assembled(EventlogPlugin, management).command_groups({})["eventlog"]
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "backup").write_text("one\ntwo\nthree\n")
    ask = CliRunner().invoke
    assert ask(group.app, ["show"]).output == "one\ntwo\nthree\n"
    assert ask(group.app, ["show", "--last", "1"]).output == "three\n"
    assert ask(group.app, ["show", "-n", "9"]).output == "one\ntwo\nthree\n"
    for word in ("off", "on"):
        assert ask(group.app, [word]).exit_code == 0
    asked = SwitchRequest(on=False), SwitchRequest(on=True)
    assert doors.called == [("eventlog.switch", each) for each in asked]
    status = json.loads(ask(group.app, ["status", "--json"]).output)
    assert status == {"backup.log.enable": "on", "file": str(tmp_path / "log" / "backup")}
    assert "backup.log.enable  on" in ask(group.app, ["status"]).output


def test_an_unknown_time_zone_stops_the_start(assembled: Callable[..., StackKernel]) -> None:
    with pytest.raises(StartErrors) as stopped:
        assembled(EventlogPlugin, tables='[eventlog]\ntimezone = "Mars/Olympus"\n')
    assert [error.id for error in stopped.value.errors] == ["eventlog.unknown-timezone"]


def test_two_stacks_have_logs_of_their_own(assembled: Callable[..., StackKernel]) -> None:
    first, second = assembled(EventlogPlugin), assembled(EventlogPlugin)
    assert first.operations[SWITCH.name] is not second.operations[SWITCH.name]
