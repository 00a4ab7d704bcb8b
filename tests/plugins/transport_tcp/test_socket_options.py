"""The options of connected sockets."""

from __future__ import annotations

import socket

import pytest
import trio

from tapekit_transport_tcp.settings import TransportTcpSettings
from tapekit_transport_tcp.socket_options import set_options

TCP, SOCKET = socket.IPPROTO_TCP, socket.SOL_SOCKET


def options_after(settings: TransportTcpSettings) -> dict[str, int]:
    with trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
        set_options(one, settings)
        return {
            "nodelay": one.getsockopt(TCP, socket.TCP_NODELAY),
            "keepalive": one.getsockopt(SOCKET, socket.SO_KEEPALIVE),
            "idle_s": one.getsockopt(TCP, socket.TCP_KEEPIDLE),
            "interval_s": one.getsockopt(TCP, socket.TCP_KEEPINTVL),
            "probes": one.getsockopt(TCP, socket.TCP_KEEPCNT),
        }


async def test_defaults_find_a_dead_peer_within_two_minutes() -> None:
    options = options_after(TransportTcpSettings())
    assert options == {"nodelay": 1, "keepalive": 1, "idle_s": 60, "interval_s": 10, "probes": 6}


async def test_both_can_be_switched_off() -> None:
    options = options_after(TransportTcpSettings(nodelay=False, keepalive_s=0))
    assert (options["nodelay"], options["keepalive"]) == (0, 0)


@pytest.mark.parametrize("keepalive_s", [1, 32767])
async def test_the_ends_of_the_range_are_accepted(keepalive_s: int) -> None:
    assert options_after(TransportTcpSettings(keepalive_s=keepalive_s))["idle_s"] == keepalive_s
