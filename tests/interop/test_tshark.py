"""Wireshark's dissector reads a captured session."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from interop_peers import need, program
from running_stack import run_checked, served
from tapekit_trees.making import make_tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from running_stack import Stack


DOUBTFUL = "_ws.malformed || (tcp.len > 0 && !ndmp && !tcp.segment && !tcp.analysis.retransmission)"
"""What the dissector calls malformed, and new bytes that it does not take for NDMP."""

NDMP_PORT = 10000
"""The one port on which the dissector looks for NDMP."""


@pytest.mark.skipif(os.geteuid() != 0, reason="capturing needs root")
@pytest.mark.parametrize("sessions", [1, 2])
def test_no_packet_of_a_session_is_malformed(tmp_path: Path, sessions: int) -> None:
    need("ndmjob", "tshark")
    # An address of loopback that nobody else uses, and so neither its ports.
    host = f"127.{os.getpid() // 250 % 250 + 1}.{os.getpid() % 250}.{sessions}"
    with served(tmp_path / "stack", host, NDMP_PORT) as stack:
        make_tree(stack.volume, files=30, seed=2, wide=50, deep=5, far=1 << 20)
        file = tmp_path / "capture.pcapng"
        with capturing(stack, file, f"host {host} and tcp port {NDMP_PORT}"):
            converse(stack, tmp_path, sessions)
    read = [program("tshark"), "-r", file]
    packets = run_checked([*read, "-Y", "ndmp"]).splitlines()
    assert len(packets) > 60
    for message in ("CONFIG_GET_FS_INFO", "FH_ADD_NODE", "NOTIFY_DATA_HALTED", "DATA_GET_ENV"):
        assert any(message in packet for packet in packets), message
    doubted = run_checked([*read, "-Y", DOUBTFUL])
    assert [line for line in doubted.splitlines() if "Running as" not in line] == []


@contextlib.contextmanager
def capturing(stack: Stack, file: Path, packets: str) -> Iterator[None]:
    """Capture on loopback while the block runs, all of it: the capture is
    known to run, and to have caught up, by a packet of our own.
    """
    command = [program("tshark"), "-i", "lo", "-f", packets, "-w", file, "-P", "-l"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as tshark:
        assert tshark.stdout is not None
        seen = threading.Thread(target=until_seen, args=(tshark.stdout, first := set()))
        seen.start()
        while not first:
            first_port = knock(stack)
            seen.join(0.2)
        yield
        last_port = knock(stack)
        assert first_port != last_port
        for line in tshark.stdout:
            if f" {last_port} " in line:
                break
        tshark.terminate()


def until_seen(lines: Iterable[str], seen: set[str]) -> None:
    """Note the first packet that the capture shows."""
    for line in lines:
        seen.add(line)
        return


def knock(stack: Stack) -> int:
    """Connect and hang up; gives the port that it was done from."""
    with socket.create_connection((stack.host, stack.port)) as connection:
        return int(connection.getsockname()[1])


def converse(stack: Stack, directory: Path, sessions: int) -> None:
    """A query, a backup with file history, and a restore."""
    agents = ["-D", stack.agent()] + (["-T", stack.agent()] if sessions == 2 else [])
    stack.ndmjob("-q", *agents)
    for mode, more in (("-c", ("-I", str(directory / "index"))), ("-x", ("-C", "/vs1/vol1/b"))):
        stack.ndmjob(
            *(mode, "-B", "dump", *agents, "-f", "nrst0a"),
            *("-E", "FILESYSTEM=/vs1/vol1", *more),
        )
