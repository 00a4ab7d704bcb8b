"""A TCP peer that takes what it gets and keeps nothing.

It stands where a mover would be, so that a backup to it shows what reading
the files and sending the image cost. It is a process of its own, so that its
work is on nobody's account, and it takes one connection after another.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["discarding_peer"]


@contextlib.contextmanager
def discarding_peer() -> Iterator[int]:
    """The peer runs inside the block; gives its port of 127.0.0.1."""
    with subprocess.Popen((sys.executable, __file__), stdout=subprocess.PIPE, text=True) as peer:
        try:
            assert peer.stdout is not None
            yield int(peer.stdout.readline())
        finally:
            peer.terminate()


def serve() -> None:
    buffer = bytearray(1 << 20)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            connection, _ = listener.accept()
            with connection:
                while connection.recv_into(buffer):
                    pass


if __name__ == "__main__":
    serve()
