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
    least, beyond = LEAST, int(EPHEMERAL.read_text().split()[0])
    if beyond <= least:
        # A machine that gives away nearly all of them: its own choice is as good.
        least, beyond = 49_152, 65_536
    while True:
        port = least + secrets.randbelow(beyond - least)
        with socket.socket() as probe:
            # What a server before has left in TIME_WAIT is in nobody's way.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
