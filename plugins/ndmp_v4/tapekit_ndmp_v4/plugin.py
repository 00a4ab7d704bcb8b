"""The plugin ``ndmp_v4``: wiring."""

from __future__ import annotations

import time
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, ClassVar, final

import trio

from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.lifecycle import InitPart, InitSite, Manifest
from tapekit_ndmp_v4 import hookspecs
from tapekit_ndmp_v4.administration import Administration, Serving
from tapekit_ndmp_v4.commands import command_groups
from tapekit_ndmp_v4.extensions import joined
from tapekit_ndmp_v4.host import memory_bytes, own_host_id
from tapekit_ndmp_v4.secure_control import the_one
from tapekit_ndmp_v4.server import NdmpServer
from tapekit_ndmp_v4.service import ServiceSwitch
from tapekit_ndmp_v4.session_logs import SessionLogs
from tapekit_ndmp_v4.settings import NdmpV4Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tapekit.hookspecs.commands import CommandGroup
    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit.hookspecs.operations import OfferedOperation
    from tapekit_ndmp_v4.hookspecs import Extension, SecureControl

__all__ = ["NdmpV4Plugin"]


@final
class NdmpV4Plugin:
    """NDMP version 4: the server's control connections."""

    manifest: ClassVar = Manifest(
        name="ndmp_v4", summary="NDMP version 4 server", settings=NdmpV4Settings
    )

    hookspecs: ClassVar = hookspecs

    def __init__(self, settings: NdmpV4Settings) -> None:
        self._settings = settings
        self._extensions: Sequence[Extension] = ()
        self._administration = Administration()
        self._kernel: Kernel | None = None
        self._secure: SecureControl | None = None

    @classmethod
    def init_part(cls, _site: InitSite) -> InitPart:
        """The defaults serve a new site."""
        return InitPart(settings="")

    @hookimpl
    def tapekit_on_assembled(self, kernel: Kernel) -> None:
        """Join the extensions that plugins offer, and find the switch of
        secure control connections.
        """
        self._kernel = kernel
        self._extensions = joined(kernel.call_hook("tapekit_register_ndmp_extensions"))
        self._secure = the_one(kernel.call_hook("tapekit_provide_secure_control"))

    @hookimpl
    def tapekit_register_operations(self) -> Sequence[OfferedOperation]:
        """Offer what can be asked of the running server."""
        return self._administration.offered()

    @hookimpl
    def tapekit_register_command_groups(self) -> Sequence[CommandGroup]:
        """Offer ``tapekit ndmp`` and the commands of the guide."""
        return command_groups(self._settled)

    def _settled(self) -> Kernel:
        assert self._kernel is not None
        return self._kernel

    @hookimpl
    def tapekit_run(self, kernel: Kernel) -> AbstractAsyncContextManager[None]:
        """Serve on every control transport."""
        return self._serve(kernel)

    @asynccontextmanager
    async def _serve(self, kernel: Kernel) -> AsyncIterator[None]:
        service = _service(kernel)
        await trio.to_thread.run_sync(service.load)
        if kernel.placement is not None:
            await kernel.placement.prepare()
        memory = memory_bytes()
        limits = self._settings.limits(memory)
        server = NdmpServer(
            kernel,
            self._settings,
            limits=limits,
            clock=time.time,  # noqa: TID251
            service=service,
            host_id=await trio.to_thread.run_sync(own_host_id, kernel.state),
            extensions=self._extensions,
        )
        async with trio.open_nursery() as nursery:
            addresses = []
            for transport in kernel.control_transports:
                for endpoint in await nursery.start(transport.serve, server.serve_connection):
                    kernel.listening(str(endpoint))
                    addresses.append(str(endpoint))
            secure = self._secure.addresses if self._secure is not None else ()
            standard = tuple(one for one in addresses if one not in secure)
            folder = kernel.base_directory / self._settings.log_directory
            logs = SessionLogs(folder, server.traces, nursery, kernel.clock)
            self._administration.begin(
                Serving(
                    kernel=kernel,
                    server=server,
                    service=service,
                    logs=logs,
                    extensions=self._extensions,
                    addresses=standard,
                    secure=self._secure,
                    memory_bytes=memory,
                )
            )
            yield
            await server.drain()
            self._administration.end()
            await logs.close()
            nursery.cancel_scope.cancel()


def _service(kernel: Kernel) -> ServiceSwitch:
    authenticator = kernel.authenticator
    if authenticator is None:
        return ServiceSwitch(kernel.state)
    return ServiceSwitch(kernel.state, authenticator.svm_methods)
