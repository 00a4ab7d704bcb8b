"""The management socket as a plugin: manifest, settings and hooks.

The socket is made when the stack starts and served by a task of the kernel,
so that it also answers while the stack drains. Everything else stands in
the modules beside this one.
"""

from __future__ import annotations

import contextlib
import os
from importlib import metadata
from typing import TYPE_CHECKING, ClassVar, Final, final

import trio

from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.commands import CommandGroup
from tapekit.hookspecs.lifecycle import InitPart, Manifest
from tapekit_admin.client import SocketManagement
from tapekit_admin.commands import command_app
from tapekit_admin.operations import STATUS, StackStatus
from tapekit_admin.option_commands import options_app
from tapekit_admin.server import ManagementServer
from tapekit_admin.settings import AdminSettings
from tapekit_admin.socket_place import ListeningPlace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from tapekit.hookspecs.lifecycle import InitSite, Kernel
    from tapekit.hookspecs.operations import Management, NoRequest, OfferedOperation

__all__ = ["AdminPlugin"]


@final
class AdminPlugin:
    """How commands reach the running stack."""

    manifest: ClassVar[Manifest] = Manifest(
        name="admin",
        summary="Management of the running stack over a Unix socket",
        settings=AdminSettings,
    )

    def __init__(self, settings: AdminSettings) -> None:
        self._settings: Final = settings
        self._management: Final = SocketManagement(settings.socket, settings.nodes)
        self._kernel: Kernel | None = None
        self._started_s = 0.0

    @classmethod
    def init_part(cls, _site: InitSite) -> InitPart:
        """The defaults serve a new site."""
        return InitPart()

    @hookimpl
    def tapekit_provide_management(self) -> Management:
        """Offer the socket's other end."""
        return self._management

    @hookimpl
    def tapekit_register_operations(self) -> Sequence[OfferedOperation]:
        """Tell what runs here."""
        return (STATUS.performed_by(self._status),)

    @hookimpl
    def tapekit_register_command_groups(self) -> Sequence[CommandGroup]:
        """Offer ``tapekit admin`` and ``tapekit options``."""
        return (
            CommandGroup("admin", "The running stack", command_app(self._settled)),
            CommandGroup("options", "Options of the running stack", options_app(self._settled)),
        )

    @hookimpl
    def tapekit_on_assembled(self, kernel: Kernel) -> None:
        """Learn where the stack file is."""
        self._kernel = kernel
        self._management.settle(kernel.base_directory)

    @hookimpl
    def tapekit_run(self, kernel: Kernel) -> AbstractAsyncContextManager[None]:
        """Serve the socket while the stack runs."""
        return self._serving(kernel)

    @contextlib.asynccontextmanager
    async def _serving(self, kernel: Kernel) -> AsyncIterator[None]:
        self._started_s = kernel.clock()
        place = ListeningPlace(self._management.path)
        server = ManagementServer(kernel.operations, self._settings.calls)

        async def serve() -> None:
            try:
                listener = trio.SocketListener(trio.socket.from_stdlib_socket(place.socket))
                await trio.serve_listeners(server.serve_connection, [listener])
            finally:
                place.close()

        # Outside this context, which is left when the stack begins to drain.
        kernel.start_task(serve, "management socket")
        yield

    async def _status(self, _request: NoRequest) -> StackStatus:
        kernel = self._settled()
        return StackStatus(
            node=kernel.node_name,
            directory=str(kernel.base_directory),
            version=metadata.version("tapekit"),
            process=os.getpid(),
            started_s=self._started_s,
            is_draining=kernel.draining.is_set(),
        )

    def _settled(self) -> Kernel:
        assert self._kernel is not None
        return self._kernel
