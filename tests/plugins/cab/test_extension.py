"""What the class needs of a data connection, and its bytes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from tapekit.hookspecs.placement import EVERYTHING
from tapekit_cab.plugin import CabPlugin
from tapekit_cab.settings import CabSettings
from tapekit_ndmp_v4.cluster_aware import CabDataConnPrepareReply, CabDataConnPrepareRequest
from tapekit_ndmp_v4.numbers import AddrType, NdmpError
from tapekit_ndmp_v4.refusal import Refused
from tapekit_ndmp_v4.wire import Pair
from tapekit_ndmp_v4.xdr import decode, encode

if TYPE_CHECKING:
    from tapekit_ndmp_v4.hookspecs import ChosenExtension

LOCAL, TCP, TCP_IPV6 = AddrType.LOCAL, AddrType.TCP, AddrType.TCP_IPV6


async def prepared(value: int, *, tcp_stands_for_ipv6: bool = False) -> ChosenExtension:
    """The class in a session of a lone node that has prepared a connection."""
    session: Any = SimpleNamespace(permit_paths=lambda _pairs: None, sight=EVERYTHING)
    plugin = CabPlugin(CabSettings(tcp_stands_for_ipv6=tcp_stands_for_ipv6))
    cab, _ = plugin.tapekit_register_ndmp_extensions()
    chosen = cab.begin(session, 1)
    request = CabDataConnPrepareRequest(addr_type=value, butype_name="dump", env=())
    handler = chosen.handlers()[CabDataConnPrepareRequest]
    assert await handler(request) == CabDataConnPrepareReply(error=NdmpError.NO_ERR)
    return chosen


@pytest.mark.requirement("R188")
def test_the_plugin_offers_class_2052_in_version_1() -> None:
    cab, _ = CabPlugin(CabSettings()).tapekit_register_ndmp_extensions()
    assert (cab.class_id, cab.name, cab.versions) == (0x2052, "CAB", (1,))
    assert [row.code for row in cab.exchanges] == [0x2052_0001]


def test_the_message_has_its_bytes() -> None:
    request = CabDataConnPrepareRequest(
        addr_type=TCP, butype_name="dump", env=(Pair("FILESYSTEM", "/a/b"),)
    )
    body = bytes.fromhex(
        "00000001 00000004 64756d70 00000001 0000000a 46494c45 53595354 454d0000 00000004 2f612f62"
    )
    assert encode(request) == body
    assert decode(CabDataConnPrepareRequest, body) == request


@pytest.mark.parametrize("listens", [True, False])
@pytest.mark.parametrize("kind", [LOCAL, TCP, TCP_IPV6])
@pytest.mark.parametrize("said", [LOCAL, TCP, TCP_IPV6, 77])
async def test_only_what_was_prepared_is_permitted(
    said: int, kind: AddrType, *, listens: bool
) -> None:
    chosen = await prepared(said)
    if said == kind:
        chosen.permit_data_connection(kind, listens=listens)
        return
    with pytest.raises(Refused) as caught:
        chosen.permit_data_connection(kind, listens=listens)
    assert caught.value.code == NdmpError.PRECONDITION_ERR
    assert str(caught.value.error).startswith("DATA LISTEN" if listens else "DATA CONNECT")


async def test_tcp_stands_for_ipv6_where_the_settings_say_so() -> None:
    chosen = await prepared(TCP, tcp_stands_for_ipv6=True)
    chosen.permit_data_connection(TCP_IPV6, listens=True)
    chosen.permit_data_connection(TCP, listens=True)
    with pytest.raises(Refused):
        chosen.permit_data_connection(LOCAL, listens=True)
    chosen = await prepared(TCP_IPV6, tcp_stands_for_ipv6=True)
    with pytest.raises(Refused):
        chosen.permit_data_connection(TCP, listens=True)
