"""The TCP transport as a plugin: manifest, settings and hooks.

Everything else stands in the modules beside this one, which know nothing of
plugins. What the settings cannot check one by one is checked when the stack
is assembled, before anything listens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, final

from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.lifecycle import InitPart, Manifest
from tapekit.hookspecs.transport import Endpoint
from tapekit_transport_tcp.addresses import listen_endpoints, require_order
from tapekit_transport_tcp.control import TcpControlTransport
from tapekit_transport_tcp.families import IPV4, IPV6
from tapekit_transport_tcp.interfaces import require_numeric
from tapekit_transport_tcp.ring import LocalTransport
from tapekit_transport_tcp.settings import TransportTcpSettings
from tapekit_transport_tcp.tcp import TcpTransport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.hookspecs.lifecycle import InitSite
    from tapekit.hookspecs.transport import ControlTransport, DataTransport

__all__ = ["TransportTcpPlugin"]


@final
class TransportTcpPlugin:
    """Control listeners on TCP, and data connections LOCAL, TCP and TCP_IPV6."""

    manifest: ClassVar[Manifest] = Manifest(
        name="transport_tcp",
        summary="Control listeners on TCP; data connections inside the process and over TCP",
        settings=TransportTcpSettings,
    )

    def __init__(self, settings: TransportTcpSettings) -> None:
        self._settings: Final = settings

    @classmethod
    def init_part(cls, site: InitSite) -> InitPart:
        """Listen where the new site wants it."""
        return InitPart(settings=f'listen = ["{Endpoint(site.host, site.port)}"]\n')

    @hookimpl
    def tapekit_on_assembled(self) -> None:
        """Judge the addresses before anything runs."""
        listen_endpoints(self._settings.listen)
        require_order(self._settings.data_ports)
        require_numeric(self._settings.interfaces)

    @hookimpl
    def tapekit_register_control_transports(self) -> Sequence[ControlTransport]:
        """Offer the listeners of the setting ``listen``."""
        return (TcpControlTransport(self._settings),)

    @hookimpl
    def tapekit_register_data_transports(self) -> Sequence[DataTransport]:
        """Offer the kinds LOCAL, TCP and TCP_IPV6."""
        return (
            LocalTransport(self._settings.ring_buffers),
            TcpTransport(self._settings, IPV4),
            TcpTransport(self._settings, IPV6),
        )
