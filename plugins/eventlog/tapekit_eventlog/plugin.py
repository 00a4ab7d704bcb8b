"""The plugin ``eventlog``: wiring."""

from __future__ import annotations

import time
import zoneinfo
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, ClassVar, Final, final

import trio

from tapekit.errors import TapekitError
from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.commands import CommandGroup
from tapekit.hookspecs.lifecycle import InitPart, Manifest
from tapekit.hookspecs.operations import NoReply, OptionState
from tapekit_eventlog.commands import Commands
from tapekit_eventlog.errors import CATALOGUE
from tapekit_eventlog.file_command import rdfile_app
from tapekit_eventlog.lines import Lines
from tapekit_eventlog.log_file import LogFile
from tapekit_eventlog.operations import ENABLE, SWITCH, SwitchRequest
from tapekit_eventlog.recorder import Recorder, is_on, next_dump
from tapekit_eventlog.settings import EventlogSettings
from tapekit_eventlog.web_view import WebView, open_listeners

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from tapekit.hookspecs.events import Event
    from tapekit.hookspecs.lifecycle import InitSite, Kernel
    from tapekit.hookspecs.operations import OfferedOperation, OptionRequest

__all__ = ["EventlogPlugin"]

_LOOK_EVERY_S: Final = 0.25

_VALUES: Final = ("on", "off")
"""What the option backup.log.enable can be."""


@final
class EventlogPlugin:
    """Writes what dumps and restores do to the backup log."""

    manifest: ClassVar[Manifest] = Manifest(
        name="eventlog",
        summary="The log of backups and restores, in weekly files",
        settings=EventlogSettings,
    )

    def __init__(self, settings: EventlogSettings) -> None:
        self._settings: Final = settings
        self._kernel: Kernel | None = None
        self._recorder: Recorder | None = None

    @classmethod
    def init_part(cls, site: InitSite) -> InitPart:
        """The defaults serve a new site."""
        stack = site.directory / "tapekit.toml"
        return InitPart(next_steps=(f"tapekit eventlog show --follow {stack}",))

    @hookimpl
    def tapekit_on_assembled(self, kernel: Kernel) -> None:
        """Find the folder and the time zone.

        :raises TapekitError: there is no such time zone, or nobody who could
            read the log in a browser.
        """
        zone, state = _zone(self._settings.timezone), kernel.state
        self._kernel = kernel
        file = LogFile(kernel.base_directory / self._settings.directory, zone)
        self._file = file
        lines = Lines(zone, lambda: next_dump(state))
        self._recorder = Recorder(lines, file, state, kernel.clock)
        if self._settings.http_port is not None and kernel.authenticator is None:
            raise CATALOGUE.error("http-needs-users")

    @hookimpl
    def tapekit_on_event(self, event: Event) -> None:
        """Queue what happened."""
        if self._recorder is not None:
            self._recorder.take(event)

    @hookimpl
    def tapekit_register_operations(self) -> Sequence[OfferedOperation]:
        """Offer to turn logging on and off."""
        return (SWITCH.performed_by(self._switch), ENABLE.performed_by(self._enable))

    @hookimpl
    def tapekit_register_command_groups(self) -> Sequence[CommandGroup]:
        """Offer ``tapekit eventlog`` and ``tapekit rdfile``."""
        app = Commands(self._site, _wait).app()
        return (
            CommandGroup("eventlog", "The log of backups and restores", app),
            CommandGroup("rdfile", "A file of the backup log", rdfile_app(self._path)),
        )

    @hookimpl
    def tapekit_run(self, kernel: Kernel) -> AbstractAsyncContextManager[None]:
        """Write events while the stack runs, those of its end included."""
        return self._started(kernel)

    @asynccontextmanager
    async def _started(self, kernel: Kernel) -> AsyncIterator[None]:
        # A task of the kernel outlasts the contexts of all plugins, and so
        # hears of the last job that ends.
        kernel.start_task(self._record, "eventlog")
        async with trio.open_nursery() as browsers:
            port, authenticator = self._settings.http_port, kernel.authenticator
            if port is not None and authenticator is not None:
                view = WebView(self._file.path, authenticator)
                listeners = await open_listeners(port)
                browsers.start_soon(trio.serve_listeners, view.serve, listeners)
            yield
            browsers.cancel_scope.cancel()

    async def _record(self) -> None:
        recorder = self._recorder
        assert recorder is not None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, recorder.run)
            try:
                await trio.sleep_forever()
            finally:
                recorder.stop()

    async def _enable(self, request: OptionRequest) -> OptionState:
        if request.value is not None:
            if request.value not in _VALUES:
                raise CATALOGUE.error("not-on-or-off", value=request.value)
            await self._switch(SwitchRequest(request.value == "on"))
        assert self._kernel is not None
        value = await trio.to_thread.run_sync(is_on, self._kernel.state)
        return OptionState(name="backup.log.enable", value="on" if value else "off", values=_VALUES)

    async def _switch(self, request: SwitchRequest) -> NoReply:
        assert self._recorder is not None
        token = trio.lowlevel.current_trio_token()
        send, receive = trio.open_memory_channel[TapekitError | None](1)
        self._recorder.switch(
            on=request.on, done=lambda error: token.run_sync_soon(send.send_nowait, error)
        )
        error = await receive.receive()
        if error is not None:
            raise error
        return NoReply()

    def _site(self) -> tuple[Kernel, Path]:
        assert self._kernel is not None
        return self._kernel, self._file.path

    def _path(self) -> Path:
        return self._file.path


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        # Also where the machine has no list of time zones.
        return UTC
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError) as error:
        raise CATALOGUE.error("unknown-timezone", name=name) from error


def _wait() -> bool:
    time.sleep(_LOOK_EVERY_S)  # noqa: TID251 - a command that has nothing else to do
    return True
