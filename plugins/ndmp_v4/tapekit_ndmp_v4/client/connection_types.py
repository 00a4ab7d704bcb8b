"""Which data connections a server offers, those of the extension included.

Addresses of IPv6 belong to the connection address extension, which has to be
chosen before a server may speak of them; a session chooses once, so a server
of a cluster is asked for :data:`CAB` along with it. The one rule: what was not agreed
is not used, since a peer that does not know an address drops the connection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client.cluster_aware import CAB
from tapekit_ndmp_v4.client.extensions import CAE, choose_extensions
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import AddrType

if TYPE_CHECKING:
    from tapekit_ndmp_v4.client.client import NdmpClient

__all__ = ["connection_types"]


async def connection_types(client: NdmpClient, *, ipv6: bool) -> frozenset[int]:
    """The kinds of data connection on offer, members of :class:`AddrType`;
    CONFIG_GET_CONNECTION_TYPE.

    :param ipv6: agree on addresses of IPv6 first, if the server has them.
        That is possible once in a session, before any data connection.
    """
    are_agreed = ipv6 and await _agree_on_addresses(client)
    offered = (await client.call(m.ConfigGetConnectionTypeRequest())).addr_types
    return frozenset(offered) - (frozenset() if are_agreed else {AddrType.TCP_IPV6})


async def _agree_on_addresses(client: NdmpClient) -> bool:
    if client.extensions:
        return not CAE.keys().isdisjoint(client.extensions)
    try:
        chosen = await choose_extensions(client, {**CAE, **CAB})
    except NdmpReplyError:
        # Without the extension there still is IPv4.
        return False
    return not CAE.keys().isdisjoint(chosen)
