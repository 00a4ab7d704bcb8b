"""What the class 0x7A9E makes of a session's data connections."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import Any

import pytest

from tapekit_ndmp_v4.numbers import AddrType
from tapekit_transport_tcp.families import IPV4, IPV6
from tapekit_transport_tcp.ring import LocalTransport
from tapekit_transport_tcp.settings import TransportTcpSettings
from tapekit_transport_tcp.tcp import TcpTransport
from tapekit_transport_tls.data import TlsDataTransport
from tapekit_transport_tls.extension import private_data_extension
from tapekit_transport_tls.plugin import TransportTlsPlugin
from tapekit_transport_tls.settings import TransportTlsSettings

SETTINGS = TransportTlsSettings()
EXTENSION = private_data_extension(SETTINGS, lambda: dt.datetime.now(dt.UTC))


def session(*transports: Any) -> Any:
    offered = {each.kind: each for each in transports}
    return SimpleNamespace(kernel=SimpleNamespace(data_transports=offered))


def tcp(family: Any = IPV4) -> TcpTransport:
    return TcpTransport(TransportTcpSettings(), family)


def test_the_plugin_offers_the_class_unless_told_otherwise() -> None:
    (extension,) = TransportTlsPlugin(SETTINGS).tapekit_register_ndmp_extensions()
    assert (extension.class_id, extension.versions, extension.exchanges) == (0x7A9E, (1,), ())
    off = TransportTlsPlugin(TransportTlsSettings(private_data=False))
    assert tuple(off.tapekit_register_ndmp_extensions()) == ()


@pytest.mark.parametrize("family", [IPV4, IPV6])
def test_all_connections_over_networks_are_private(family: Any) -> None:
    chosen = EXTENSION.begin(session(LocalTransport(2), tcp(family)), 1)
    transport = chosen.transport(AddrType[family.kind])
    assert isinstance(transport, TlsDataTransport)
    assert transport.kind == family.kind
    assert set(chosen.address_kinds()) == set()


def test_connections_inside_the_process_stay_as_they_are() -> None:
    assert EXTENSION.begin(session(LocalTransport(2), tcp()), 1).transport(AddrType.LOCAL) is None


def test_the_class_is_offered_where_all_connections_can_be_private() -> None:
    stranger = SimpleNamespace(kind="TCP_IPV6")
    assert EXTENSION.is_offered(session(LocalTransport(2), tcp()))
    assert not EXTENSION.is_offered(session(LocalTransport(2)))
    assert not EXTENSION.is_offered(session(tcp(), stranger))
