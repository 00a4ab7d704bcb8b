"""Ports for servers that a test starts a moment later.

The system gives ports of its ephemeral range to whoever asks next, a test
beside this one among them; below that range nobody gets one unasked.
"""

from __future__ import annotations

import secrets
import socket
from pathlib import Path

__all__ = ["free_port"]

EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
LEAST = 10_240


def free_port() -> int:
    """A port of the loopback address that nobody uses now."""
    beyond = int(EPHEMERAL.read_text().split()[0])
    while True:
        port = LEAST + secrets.randbelow(beyond - LEAST)
        with socket.socket() as probe:
            # What a server before has left in TIME_WAIT is in nobody's way.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
