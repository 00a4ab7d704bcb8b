"""The TLS transport as a plugin: manifest, settings and hooks.

While secure connections are on for no storage virtual machine, nobody listens.
Certificate and key are read when listening begins, so that ``tapekit tls renew`` can
replace what is missing or damaged.
"""

from __future__ import annotations

import datetime as dt
import platform
from typing import TYPE_CHECKING, ClassVar, Final, final

from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.commands import CommandGroup
from tapekit.hookspecs.lifecycle import InitPart, Manifest
from tapekit.hookspecs.transport import Endpoint
from tapekit_transport_tcp.addresses import listen_endpoints
from tapekit_transport_tls.certificates import make_certificate
from tapekit_transport_tls.commands import command_app
from tapekit_transport_tls.contexts import ServerContexts
from tapekit_transport_tls.control import TlsControlTransport
from tapekit_transport_tls.extension import private_data_extension
from tapekit_transport_tls.key_files import write_new_file
from tapekit_transport_tls.secure_service import SecureService
from tapekit_transport_tls.settings import TransportTlsSettings
from tapekit_transport_tls.site import names_for, site_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from tapekit.hookspecs.lifecycle import InitSite, Kernel
    from tapekit.hookspecs.transport import ControlTransport
    from tapekit_ndmp_v4.hookspecs import Extension, SecureControl
    from tapekit_transport_tls.site import TlsSite

__all__ = ["TransportTlsPlugin"]

_PORT: Final = 30000
"""Of the service ndmps (IANA)."""


@final
class TransportTlsPlugin:
    """Control connections inside TLS, per storage virtual machine, and data
    connections inside TLS for sessions that choose them.
    """

    manifest: ClassVar[Manifest] = Manifest(
        name="transport_tls",
        summary="Secure control connections (ndmps), and private data connections: TLS",
        requires=("ndmp_v4", "transport_tcp"),
        settings=TransportTlsSettings,
    )

    def __init__(self, settings: TransportTlsSettings) -> None:
        self._settings: Final = settings
        self._site: TlsSite | None = None
        self._contexts: ServerContexts | None = None
        self._service: Final = SecureService(settings.svms)
        self._transport: Final = TlsControlTransport(settings, self._current_context, self._service)

    @classmethod
    def init_part(cls, site: InitSite) -> InitPart:
        """Make a certificate, and leave the service off.

        :raises TapekitError: the certificate cannot be made.
        """
        names = names_for(platform.node() or "localhost", [site.host])
        file = TransportTlsSettings().certificate
        made = write_new_file(site.directory / file, make_certificate(names, _now()))
        what = f"{file}: key and certificate for secure control connections, which are off"
        return InitPart(
            settings=(
                '# Secure control connections are on for these SVMs; "*" means all.\n'
                "svms = []\n"
                f'listen = ["{Endpoint(site.host, _PORT)}"]\n'
            ),
            created=(what,) if made else (),
        )

    @hookimpl
    def tapekit_on_assembled(self, kernel: Kernel) -> None:
        """Judge the addresses before anything runs."""
        hosts = [endpoint.host for endpoint in listen_endpoints(self._settings.listen)]
        site = site_of(self._settings, kernel.base_directory, kernel.node_name, hosts)
        self._site = site
        self._service.use(kernel)
        self._contexts = ServerContexts(site.certificate, site.key, _now)

    @hookimpl
    def tapekit_register_control_transports(self) -> Sequence[ControlTransport]:
        """Offer the listeners of the setting ``listen``, which listen while
        the service is on.
        """
        return (self._transport,)

    @hookimpl
    def tapekit_provide_secure_control(self) -> SecureControl:
        """Offer the switch of secure connections."""
        return self._transport

    @hookimpl
    def tapekit_register_ndmp_extensions(self) -> Sequence[Extension]:
        """Offer class 0x7A9E, unless the settings say no."""
        if not self._settings.private_data:
            return ()
        return (private_data_extension(self._settings, _now),)

    @hookimpl
    def tapekit_register_command_groups(self) -> Sequence[CommandGroup]:
        """Offer ``tapekit tls``."""
        app = command_app(self._settled, _now)
        return (CommandGroup("tls", "The certificate of secure control connections", app),)

    def _current_context(self) -> ssl.SSLContext:
        assert self._contexts is not None, "settled when the stack is assembled"
        return self._contexts.current()

    def _settled(self) -> TlsSite:
        assert self._site is not None, "settled when the stack is assembled"
        return self._site


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
