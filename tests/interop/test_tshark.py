"""Wireshark's dissector reads a captured session."""

from __future__ import annotations

import contextlib
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from interop_peers import need, program
from running_stack import run_checked, served
from tapekit_trees.making import make_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from running_stack import Stack


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
        with capturing(
            tmp_path / "capture.pcapng", f"host {host} and tcp port {NDMP_PORT}"
        ) as file:
            converse(stack, tmp_path, sessions)
    read = [program("tshark"), "-r", file]
    packets = run_checked([*read, "-Y", "ndmp"]).splitlines()
    assert len(packets) > 60
    for message in ("CONFIG_GET_FS_INFO", "FH_ADD_NODE", "NOTIFY_DATA_HALTED", "DATA_GET_ENV"):
        assert any(message in packet for packet in packets), message
    doubted = run_checked([*read, "-Y", "_ws.malformed || (tcp.len > 0 && !ndmp && !tcp.segment)"])
    assert [line for line in doubted.splitlines() if "Running as" not in line] == []


@contextlib.contextmanager
def capturing(file: Path, packets: str) -> Iterator[Path]:
    """Capture on loopback while the block runs."""
    tshark = subprocess.Popen(
        [program("tshark"), "-i", "lo", "-f", packets, "-w", file],
        stderr=subprocess.PIPE,
        text=True,
    )
    with tshark:
        assert tshark.stderr is not None
        while "Capturing on" not in tshark.stderr.readline():
            assert tshark.poll() is None
        yield file
        tshark.terminate()
        tshark.stderr.read()


def converse(stack: Stack, directory: Path, sessions: int) -> None:
    """A query, a backup with file history, and a restore."""
    agents = ["-D", stack.agent()] + (["-T", stack.agent()] if sessions == 2 else [])
    stack.ndmjob("-q", *agents)
    for mode, more in (("-c", ("-I", str(directory / "index"))), ("-x", ("-C", "/vs1/vol1/b"))):
        stack.ndmjob(
            *(mode, "-B", "dump", *agents, "-f", "nrst0a"),
            *("-E", "FILESYSTEM=/vs1/vol1", *more),
        )
