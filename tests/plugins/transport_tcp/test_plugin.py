"""The TCP transport as the kernel sees it."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import msgspec
import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.lifecycle import InitSite
from tapekit_transport_tcp.plugin import TransportTcpPlugin
from tapekit_transport_tcp.settings import TransportTcpSettings

if TYPE_CHECKING:
    from pathlib import Path


def test_it_offers_one_listener_and_three_kinds_of_data_connections() -> None:
    plugin = TransportTcpPlugin(TransportTcpSettings())
    assert [one.name for one in plugin.tapekit_register_control_transports()] == ["tcp"]
    kinds = [one.kind for one in plugin.tapekit_register_data_transports()]
    assert kinds == ["LOCAL", "TCP", "TCP_IPV6"]


@pytest.mark.parametrize(
    ("settings", "row"),
    [
        (TransportTcpSettings(listen=()), "no-listen-address"),
        (TransportTcpSettings(listen=("10000",)), "bad-listen-address"),
        (TransportTcpSettings(data_ports=(2, 1)), "bad-port-range"),
        (TransportTcpSettings(interfaces={"data": ("host",)}), "bad-interface-address"),
        (TransportTcpSettings(interfaces={"data": ("[::1]",)}), "bad-interface-address"),
    ],
)
def test_settings_are_judged_when_the_stack_is_assembled(
    settings: TransportTcpSettings, row: str
) -> None:
    with pytest.raises(TapekitError) as refused:
        TransportTcpPlugin(settings).tapekit_on_assembled()
    assert refused.value.id == f"transport_tcp.{row}"


def test_good_settings_pass() -> None:
    TransportTcpPlugin(TransportTcpSettings()).tapekit_on_assembled()


@pytest.mark.parametrize(
    ("host", "address"), [("127.0.0.1", "127.0.0.1:10001"), ("::1", "[::1]:10001")]
)
def test_a_new_site_listens_where_it_wants(host: str, address: str, tmp_path: Path) -> None:
    part = TransportTcpPlugin.init_part(InitSite(tmp_path, host, 10001))
    settings = msgspec.convert(tomllib.loads(part.settings), TransportTcpSettings)
    assert settings.listen == (address,)
    assert not list(tmp_path.iterdir())
