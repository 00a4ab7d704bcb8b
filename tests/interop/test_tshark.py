"""Wireshark's dissector reads captured sessions of every peer that has a client."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

import amanda
from captures import DOUBTFUL, NDMP_PORT, capturing, dissection_of, own_address, packets_in
from interop_peers import need
from running_stack import served
from tapekit_trees.making import make_tree

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from running_stack import Stack


def query_backup_and_restore(stack: Stack, directory: Path, *, sessions: int) -> None:
    """A query, a backup with file history, and a restore, by NDMJOB."""
    make_tree(stack.volume, files=30, seed=2, wide=50, deep=5, far=1 << 20)
    agents = ["-D", stack.agent()] + (["-T", stack.agent()] if sessions == 2 else [])
    stack.ndmjob("-q", *agents)
    for mode, more in (("-c", ("-I", str(directory / "index"))), ("-x", ("-C", "/vs1/vol1/b"))):
        stack.ndmjob(
            *(mode, "-B", "dump", *agents, "-f", "nrst0a"),
            *("-E", "FILESYSTEM=/vs1/vol1", *more),
        )


def in_one_session(stack: Stack, directory: Path) -> None:
    query_backup_and_restore(stack, directory, sessions=1)


def in_two_sessions(stack: Stack, directory: Path) -> None:
    query_backup_and_restore(stack, directory, sessions=2)


def by_the_robot(stack: Stack, directory: Path) -> None:
    """NDMJOB looks at the library and moves a cartridge there and back; a
    move that cannot be done brings sense data.
    """
    robot = ("-R", stack.agent(), "-r", "mc0")
    for task in ("-q", "-ounload", "-oload=1024", "-oload=1025", "-oinit-elem-status"):
        stack.ndmjob(task, *robot)


def by_amandas_device(stack: Stack, directory: Path) -> None:
    """Amanda streams to the mover through windows, and reads blocks back."""
    with amanda.amanda_of(stack) as user:
        user.write("direct", b"data" * 100_000)
        user.read("blocks")


CONVERSATIONS = [
    (in_one_session, ("CONFIG_GET_FS_INFO", "FH_ADD_NODE", "NOTIFY_DATA_HALTED", "DATA_GET_ENV")),
    (in_two_sessions, ("MOVER_LISTEN", "NOTIFY_DATA_READ", "MOVER_READ", "LOG_MESSAGE")),
    # Commands and answers are shown by the dissector of SCSI.
    (by_the_robot, ("SCSI_OPEN", "Read Element Status Response Data", "(Check Condition)")),
    (by_amandas_device, ("MOVER_CONTINUE", "NOTIFY_MOVER_PAUSED", "TAPE_WRITE", "TAPE_READ")),
]


@pytest.mark.skipif(os.geteuid() != 0, reason="capturing needs root")
@pytest.mark.parametrize(
    ("converse", "messages"), CONVERSATIONS, ids=lambda value: getattr(value, "__name__", "")
)
def test_no_packet_of_a_session_is_malformed(
    tmp_path: Path, converse: Callable[[Stack, Path], None], messages: tuple[str, ...]
) -> None:
    need("ndmjob", "tshark")
    if converse is by_amandas_device:
        need(*amanda.PEERS)
    host = own_address(CONVERSATIONS.index((converse, messages)) + 1)
    with served(tmp_path / "stack", host, NDMP_PORT) as stack:
        file = tmp_path / "capture.pcapng"
        with capturing(stack, file):
            converse(stack, tmp_path)
    assert len(packets_in(file)) > 60
    dissection = dissection_of(file)
    for message in messages:
        assert message in dissection, message
    assert packets_in(file, DOUBTFUL) == []
