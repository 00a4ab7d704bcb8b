"""What the settings of the TCP transport accept."""

from __future__ import annotations

import msgspec
import pytest

from tapekit_transport_tcp.settings import TransportTcpSettings


def decoded(**table: object) -> TransportTcpSettings:
    return msgspec.convert(table, TransportTcpSettings, strict=True)


def test_an_empty_table_listens_on_loopback_alone() -> None:
    assert decoded().listen == ("127.0.0.1:10000",)


def test_a_table_as_toml_gives_it() -> None:
    settings = decoded(listen=["[::]:10000"], data_ports=[18600, 18699], send_extents="sendfile")
    assert settings.data_ports == (18600, 18699)


@pytest.mark.parametrize(
    "table",
    [
        {"listens": []},
        {"listen": "127.0.0.1:10000"},
        {"backlog": 0},
        {"keepalive_s": -1},
        {"connect_timeout_s": 0},
        {"data_ports": [1]},
        {"data_ports": [0, 1]},
        {"data_ports": [1, 65536]},
        {"ring_buffers": 1},
        {"send_extents": "splice"},
        {"interfaces": {"lif": ["192.0.2.7"]}},
        {"preferred_interface_role": ["lif"]},
    ],
)
def test_values_out_of_range_are_refused(table: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        decoded(**table)
