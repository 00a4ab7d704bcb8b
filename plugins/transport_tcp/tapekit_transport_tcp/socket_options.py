"""The options of every connected socket, control and data alike.

Keepalive finds a peer that went away without a word, which would otherwise
hold a session, its tape and its Snapshot copy for ever. Both options are
what peers set (NDMP servers and clients of the field).
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import trio

    from tapekit_transport_tcp.settings import TransportTcpSettings

__all__ = ["set_options"]

_PROBES: Final = 6
"""Probes without an answer until the connection breaks."""


def set_options(connected: trio.socket.SocketType, settings: TransportTcpSettings) -> None:
    """Apply the settings to a connected socket.

    :raises OSError: the connection is gone.
    """
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, settings.nodelay)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, settings.keepalive_s > 0)
    if settings.keepalive_s:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, settings.keepalive_s)
        interval_s = max(1, settings.keepalive_s // _PROBES)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval_s)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)
