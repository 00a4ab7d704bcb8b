"""Class 0x7A9E, version 1: data connections inside TLS.

The class has no messages and no addresses of its own: in a session that has
chosen it, every TCP connection for data is private, and the credentials go in
the variables of the address (NDMP v4, addr_env). The one rule: such a session
makes no other data connection to the network, so that nobody can bring it to
less by leaving the variables out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit_ndmp_v4.hookspecs import ChosenExtension, Extension
from tapekit_ndmp_v4.numbers import AddrType
from tapekit_transport_tcp.tcp import TcpTransport
from tapekit_transport_tls.data import TlsDataTransport

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from tapekit.hookspecs.transport import DataTransport
    from tapekit_ndmp_v4.hookspecs import ExtendedSession
    from tapekit_transport_tls.settings import TransportTlsSettings

__all__ = ["CLASS_ID", "ChosenPrivateData", "private_data_extension"]

CLASS_ID: Final = 0x7A9E
"""Of those that NDMP leaves to makers (from 0x2000)."""

_VERSION: Final = 1

_OVER_NETWORKS: Final = (AddrType.TCP, AddrType.TCP_IPV6)


@final
class ChosenPrivateData(ChosenExtension):
    """The extension in one session."""

    def __init__(
        self,
        session: ExtendedSession,
        version: int,
        settings: TransportTlsSettings,
        now: Callable[[], dt.datetime],
    ) -> None:
        super().__init__(session, version)
        self._settings: Final = settings
        self._now: Final = now

    def transport(self, kind: AddrType) -> DataTransport | None:
        """A private one for connections that leave the process."""
        if kind not in _OVER_NETWORKS:
            return None
        below = self.session.kernel.data_transports[kind.name]
        assert isinstance(below, TcpTransport), "the class is offered with no others"
        return TlsDataTransport(below, self._settings, self._now)


def private_data_extension(
    settings: TransportTlsSettings, now: Callable[[], dt.datetime]
) -> Extension:
    """The class as ``ndmp_v4`` offers it."""

    def begin(session: ExtendedSession, version: int) -> ChosenPrivateData:
        return ChosenPrivateData(session, version, settings, now)

    return Extension(
        class_id=CLASS_ID,
        name="PRIVATE_DATA",
        versions=(_VERSION,),
        begin=begin,
        is_offered=_is_possible,
        demands=lambda kind: settings.require_private_data and kind in _OVER_NETWORKS,
    )


def _is_possible(session: ExtendedSession) -> bool:
    """Whether all connections over networks are ones that can be made
    private; those that another plugin makes in its own way are not.
    """
    transports = session.kernel.data_transports
    kinds = [transports[kind.name] for kind in _OVER_NETWORKS if kind.name in transports]
    return bool(kinds) and all(isinstance(each, TcpTransport) for each in kinds)
