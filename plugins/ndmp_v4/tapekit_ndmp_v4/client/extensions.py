"""Choosing extensions of the protocol, as a client.

The server is asked what it offers, and only what both sides know is chosen,
so that a choice is never refused for a class of no importance. Old servers
know neither request; they have no extensions. The one rule: nothing of a
class is used before the server has granted the choice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekit_ndmp_v4 import cluster_aware
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import NdmpError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tapekit_ndmp_v4.client.client import NdmpClient
    from tapekit_ndmp_v4.exchanges import Exchange

__all__ = ["CAE", "choose_extensions", "offered_extensions"]

CAE: Final[Mapping[int, Sequence[int]]] = {0x2051: (1,)}
"""The Connection Address Extension: data connections over IPv6."""


async def choose_extensions(
    client: NdmpClient,
    wanted: Mapping[int, Sequence[int]],
    exchanges: Iterable[Exchange] = (),
) -> Mapping[int, int]:
    """Choose extensions, after the login and before anything else.

    The client knows the messages of :data:`CAB` by itself.

    :param wanted: classes with the versions that we know, best first.
    :param exchanges: the messages of these classes; the client can say those
        of the classes that are chosen.
    :returns: the classes that the session has, with their versions.
    :raises NdmpReplyError: the server refuses a choice of what it offers,
        such as with EXT_DN_ILLEGAL for a second one.
    """
    offered = await offered_extensions(client)
    chosen = {
        class_id: version
        for class_id, versions in wanted.items()
        for version in _first_common(versions, offered.get(class_id, ()))
    }
    if chosen:
        await client.call(
            m.ConfigSetExtListRequest(
                ndmp_selected_ext=tuple(
                    m.ClassVersion(ext_class_id=class_id, ext_version=version)
                    for class_id, version in chosen.items()
                )
            )
        )
        known = (*exchanges, *cluster_aware.EXCHANGES)
        rows = [row for row in known if row.code >> 16 in chosen]
        client.wire.exchanges = client.wire.exchanges.extended(rows)
        client.extensions = chosen
    return chosen


def _first_common(ours: Sequence[int], theirs: Sequence[int]) -> Sequence[int]:
    """The best version that both sides know, or none."""
    return [version for version in ours if version in theirs][:1]


async def offered_extensions(client: NdmpClient) -> Mapping[int, Sequence[int]]:
    """The classes that the server offers, with their versions.

    :raises NdmpReplyError: it refuses, other than for having none.
    """
    try:
        listing = await client.call(m.ConfigGetExtListRequest())
    except NdmpReplyError as refused:
        # Some servers list nothing before a choice was made, and say so.
        if refused.code in {NdmpError.NOT_SUPPORTED_ERR, NdmpError.EXT_DN_ILLEGAL_ERR}:
            return {}
        raise
    return {each.ext_class_id: each.ext_version for each in listing.class_list}
