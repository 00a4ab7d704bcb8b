"""Captured conversations, and what Wireshark's dissector thinks of them."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
from typing import TYPE_CHECKING

from interop_peers import program
from running_stack import run_checked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from running_stack import Stack

NDMP_PORT = 10000
"""The one port on which the dissector looks for NDMP."""

DOUBTFUL = (
    "_ws.malformed || (tcp.len > 0 && !ndmp && !tcp.segment && !tcp.reassembled_in"
    " && !tcp.analysis.retransmission)"
)
"""What the dissector calls malformed, and new bytes that are in no NDMP message."""


def own_address(number: int) -> str:
    """An address of loopback that nobody else uses, and so neither its ports."""
    return f"127.{os.getpid() // 250 % 250 + 1}.{os.getpid() % 250}.{number}"


@contextlib.contextmanager
def capturing(stack: Stack, file: Path, *, with_data: bool = False) -> Iterator[None]:
    """Capture the control connections while the block runs, all of it: the
    capture is known to run, and to have caught up, by a packet of our own.

    :param with_data: capture the data connections too, which is all that
        goes over the stack's address.
    """
    packets = f"host {stack.host} and tcp"
    if not with_data:
        packets += f" port {stack.port}"
    command = [program("tshark"), "-i", "lo", "-f", packets, "-w", file, "-P", "-l"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as tshark:
        assert tshark.stdout is not None
        seen = threading.Thread(target=_until_seen, args=(tshark.stdout, first := set()))
        seen.start()
        first_ports = set()
        while not first:
            assert tshark.poll() is None, "tshark has ended"
            first_ports.add(_knock(stack))
            seen.join(0.2)
        yield
        while (last_port := _knock(stack)) in first_ports:
            pass
        for line in tshark.stdout:
            if f" {last_port} " in line:
                break
        tshark.terminate()


def _until_seen(lines: Iterable[str], seen: set[str]) -> None:
    """Note the first packet that the capture shows."""
    for line in lines:
        seen.add(line)
        return


def _knock(stack: Stack) -> int:
    """Connect and hang up; gives the port that it was done from."""
    with socket.create_connection((stack.host, stack.port)) as connection:
        return int(connection.getsockname()[1])


def packets_in(file: Path, wanted: str = "ndmp") -> list[str]:
    """The packets of a capture that a display filter selects, a line each."""
    # Two passes: only the second one knows which message a segment belongs to.
    read = run_checked([program("tshark"), "-r", file, "-2", "-Y", wanted])
    return [line for line in read.splitlines() if "Running as" not in line]


def dissection_of(file: Path) -> str:
    """What the dissector says of the NDMP packets of a capture, line by line.

    Where a segment carries several messages, its line in :func:`packets_in`
    names the last one; these lines name all of them.
    """
    return run_checked([program("tshark"), "-r", file, "-2", "-Y", "ndmp", "-P", "-V"])
