"""What a server says of itself: its CONFIG listings in one value.

A server that cannot provide a listing answers NOT_SUPPORTED; that listing is
then empty, as it would be on a server that has nothing to list. Extensions
are not asked for: NDMJOB hangs up when it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, final

import msgspec

from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import NdmpError
from tapekit_ndmp_v4.wire import Message, RequestBody

if TYPE_CHECKING:
    from tapekit_ndmp_v4.client.client import NdmpClient

__all__ = ["ServerDescription", "describe"]

R = TypeVar("R", bound=Message)


@final
class ServerDescription(msgspec.Struct, frozen=True, kw_only=True):
    """What CONFIG messages tell of a server and its devices."""

    server: m.ConfigGetServerInfoReply | None
    host: m.ConfigGetHostInfoReply | None
    address_types: tuple[int, ...]
    """Members of :class:`~tapekit_ndmp_v4.numbers.AddrType`, or numbers of
    extensions."""
    butypes: tuple[m.ButypeInfo, ...]
    file_systems: tuple[m.FsInfo, ...]
    tapes: tuple[m.DeviceInfo, ...]
    changers: tuple[m.DeviceInfo, ...]


async def describe(client: NdmpClient) -> ServerDescription:
    """Ask a server for its listings; needs a login.

    :raises NdmpReplyError: any refusal but NOT_SUPPORTED.
    """
    addresses = await _offered(client, m.ConfigGetConnectionTypeRequest())
    butypes = await _offered(client, m.ConfigGetButypeInfoRequest())
    file_systems = await _offered(client, m.ConfigGetFsInfoRequest())
    tapes = await _offered(client, m.ConfigGetTapeInfoRequest())
    changers = await _offered(client, m.ConfigGetScsiInfoRequest())
    return ServerDescription(
        server=await _offered(client, m.ConfigGetServerInfoRequest()),
        host=await _offered(client, m.ConfigGetHostInfoRequest()),
        address_types=addresses.addr_types if addresses else (),
        butypes=butypes.butype_info if butypes else (),
        file_systems=file_systems.fs_info if file_systems else (),
        tapes=tapes.tape_info if tapes else (),
        changers=changers.scsi_info if changers else (),
    )


async def _offered(client: NdmpClient, request: RequestBody[R]) -> R | None:
    try:
        return await client.call(request)
    except NdmpReplyError as refused:
        if refused.code != NdmpError.NOT_SUPPORTED_ERR:
            raise
        return None
