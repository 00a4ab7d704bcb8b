"""Private data connections between two servers, as a client arranges them.

Both sessions have to choose the extension; then the addresses that the client
hands on from one server to the other carry what makes the connection private,
and the client has nothing else to do. The one rule: a transfer that is to be
private is given up before any data moves if one side cannot.
"""

from __future__ import annotations

import enum
import logging
from typing import TYPE_CHECKING, Final

from tapekit_ndmp_v4.client.cluster_aware import CAB
from tapekit_ndmp_v4.client.extensions import CAE, choose_extensions, offered_extensions
from tapekit_ndmp_v4.errors import CATALOGUE, NdmpReplyError, OperationFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tapekit_ndmp_v4.client.client import NdmpClient

__all__ = ["PRIVATE_DATA", "PrivateData", "agree_on_private_data"]

_CLASS: Final = 0x7A9E
_VERSION: Final = 1

PRIVATE_DATA: Final[Mapping[int, Sequence[int]]] = {_CLASS: (_VERSION,)}
"""The extension of tapekit's own: data connections inside TLS."""

_LOG: Final = logging.getLogger("tapekit.ndmp_v4")


class PrivateData(enum.Enum):
    """Whether data that goes from one server to another is to be private."""

    NO = enum.auto()
    """The servers are not asked."""
    PREFERRED = enum.auto()
    """If both can; otherwise it goes in the clear."""
    REQUIRED = enum.auto()
    """If one cannot, nothing is done."""


async def agree_on_private_data(
    data: NdmpClient, tape: NdmpClient, wanted: PrivateData = PrivateData.REQUIRED
) -> bool:
    """Have two sessions choose private data connections.

    A session chooses its extensions once, so addresses of IPv6 (:data:`CAE`)
    and clusters (:data:`CAB`) are chosen along with them, and nothing may have
    been chosen before but this. Within one session there is nothing to agree on: its data does not
    leave the server.

    :param wanted: anything but ``NO`` asks for the extensions on offer, on
        which some old servers hang up.
    :returns: whether data connections between the two will be private.
    :raises OperationFailed: one side cannot, and the other one must: because
        it is required, or because its session has chosen it already.
    """
    clients = (data, tape)
    if data is tape:
        return False
    unable: list[NdmpClient] = []
    if wanted is not PrivateData.NO:
        unable = [client for client in clients if not await _can(client)]
        if not unable:
            for client in clients:
                await _choose(client)
    lacking = [client for client in clients if not _has(client)]
    if not lacking:
        return True
    if wanted is PrivateData.REQUIRED or len(lacking) < len(clients):
        address = " and ".join(client.address for client in unable or lacking)
        raise CATALOGUE.raised_as(OperationFailed, "no-private-data", address=address)
    return False


def _has(client: NdmpClient) -> bool:
    return _CLASS in client.extensions


async def _can(client: NdmpClient) -> bool:
    """Whether a session has the extension or may get it."""
    if client.extensions:
        return _has(client)
    return _VERSION in (await offered_extensions(client)).get(_CLASS, ())


async def _choose(client: NdmpClient) -> None:
    if _has(client):
        return
    try:
        await choose_extensions(client, {**PRIVATE_DATA, **CAE, **CAB})
    except NdmpReplyError as refused:
        # Too late in the session: it goes on without, and is judged by that.
        _LOG.debug("%s: %s", client.address, refused)
