"""Stacks with a virtual library that run in a test, and commands typed at them."""

from __future__ import annotations

import functools
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, final

import msgspec
import pytest
import trio
from typer.testing import CliRunner

from tapekit.cli.groups import group_command
from tapekit.errors import TapekitError
from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.commands import CommandGroup
from tapekit.hookspecs.lifecycle import InitSite, Manifest, NoSettings
from tapekit.hookspecs.operations import Privilege
from tapekit_admin.option_commands import options_app
from tapekit_state_sqlite.plugin import StateSqlitePlugin
from tapekit_tape_devices.plugin import TapeDevicesPlugin
from tapekit_vtape.plugin import VtapePlugin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tapekit.kernel import StackKernel


@final
class MemoryManagement:
    """A plugin that carries calls from a command's thread to this process, and
    has the command ``options``.
    """

    manifest = Manifest(name="memory_management", summary="Calls without a socket")

    def __init__(self, _settings: NoSettings) -> None:
        self._kernel: Any = None

    @hookimpl
    def tapekit_on_assembled(self, kernel: Any) -> None:
        self._kernel = kernel

    @hookimpl
    def tapekit_provide_management(self) -> Any:
        return self

    @hookimpl
    def tapekit_register_command_groups(self) -> tuple[CommandGroup, ...]:
        return (CommandGroup("options", "Options", options_app(lambda: self._kernel)),)

    def call(self, operation: Any, request: Any, privilege: Any = Privilege.ADMIN) -> Any:
        offered = self._kernel.operations[operation.name]
        assert privilege is Privilege.ADVANCED or operation.privilege is Privilege.ADMIN, "advanced"
        asked = msgspec.json.decode(msgspec.json.encode(request), type=operation.request)
        reply = trio.from_thread.run(offered.perform, asked)
        return msgspec.json.decode(msgspec.json.encode(reply), type=operation.reply)

    def follow(self, feed: Any, request: Any, privilege: Any = None) -> Any:
        raise AssertionError("there are no feeds")


@pytest.fixture
def management() -> type[MemoryManagement]:
    """A plugin that lets commands reach a stack in this process."""
    return MemoryManagement


@pytest.fixture
def tape_stack(assembled: Callable[..., StackKernel], tmp_path: Path) -> Any:
    """Runs a stack with two virtual drives and a changer, as often as asked:
    ``async with tape_stack(*more_plugins, tables=...) as kernel``.
    """
    table = VtapePlugin.init_part(InitSite(tmp_path, "127.0.0.1", 10000)).settings

    @asynccontextmanager
    async def start(*plugins: Any, tables: str = "") -> AsyncIterator[StackKernel]:
        kernel = assembled(
            TapeDevicesPlugin,
            StateSqlitePlugin,
            VtapePlugin,
            MemoryManagement,
            *plugins,
            tables=f'node = "Node1"\n[vtape]\n{table}\n{tables}',
        )
        async with AsyncExitStack() as contexts:
            for _, context in kernel.contexts():
                await contexts.enter_async_context(context)
            yield kernel

    return start


@pytest.fixture
def typed() -> Any:
    """What a command of a stack's prints: ``await typed(kernel, "storage tape show")``;
    raises what the command raised.
    """

    async def run(kernel: StackKernel, line: str) -> str:
        app = group_command(list(kernel.command_groups({}).values()))
        invoke = functools.partial(CliRunner().invoke, app, line.split())
        result = await trio.to_thread.run_sync(invoke)
        if isinstance(result.exception, TapekitError | AssertionError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.output

    return run
