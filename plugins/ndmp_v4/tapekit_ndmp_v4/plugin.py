"""The plugin ``ndmp_v4``: wiring."""

from __future__ import annotations

import time
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, ClassVar, final

import trio

from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.lifecycle import InitPart, InitSite, Manifest
from tapekit_ndmp_v4.host import memory_bytes
from tapekit_ndmp_v4.server import NdmpServer
from tapekit_ndmp_v4.settings import NdmpV4Settings, sessions_for_memory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tapekit.hookspecs.lifecycle import Kernel

__all__ = ["NdmpV4Plugin"]


@final
class NdmpV4Plugin:
    """NDMP version 4: the server's control connections."""

    manifest: ClassVar = Manifest(
        name="ndmp_v4", summary="NDMP version 4 server", settings=NdmpV4Settings
    )

    def __init__(self, settings: NdmpV4Settings) -> None:
        self._settings = settings

    @classmethod
    def init_part(cls, _site: InitSite) -> InitPart:
        """The defaults serve a new site."""
        return InitPart(settings="")

    @hookimpl
    def tapekit_run(self, kernel: Kernel) -> AbstractAsyncContextManager[None]:
        """Serve on every control transport."""
        return self._serve(kernel)

    @asynccontextmanager
    async def _serve(self, kernel: Kernel) -> AsyncIterator[None]:
        sessions = self._settings.sessions or sessions_for_memory(memory_bytes())
        server = NdmpServer(kernel, self._settings, sessions=sessions, clock=time.time)  # noqa: TID251
        async with trio.open_nursery() as nursery:
            for transport in kernel.control_transports:
                for endpoint in await nursery.start(transport.serve, server.serve_connection):
                    kernel.listening(str(endpoint))
            yield
            await server.drain()
            nursery.cancel_scope.cancel()
