"""How the data server and the mover take in the peer that they listen for.

An abort can come while a peer connects. The one rule: a connection that
nobody waits for any more is closed here, and nobody hears of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import trio

    from tapekit.hookspecs.transport import DataConnection, DataListener

__all__ = ["accept_peer"]


async def accept_peer(listener: DataListener, listening: trio.CancelScope) -> DataConnection | None:
    """Wait for a peer, and close the listener.

    :param listening: who cancels it listens no more.
    :returns: the connection, or ``None`` if it came too late or not at all.
    :raises OSError: the port takes no connections.
    """
    with listening:
        try:
            connection = await listener.accept()
        finally:
            listener.close()
        # A peer and an abort in one turn of the event loop: the cancellation
        # finds nothing any more that it could interrupt.
        if not listening.cancel_called:
            return connection
        connection.close()
    return None
