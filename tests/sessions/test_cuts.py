"""A control connection that breaks, at every message of a backup and a restore.

Wherever it breaks, the drive, the job, the Snapshot copy, the descriptors and
the threads of the session are let go.
"""

from __future__ import annotations

import os
import socket
import statistics
import struct
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import pytest

from memory_stack import MemoryStack, memory_stack
from plain_client import PATIENCE_S, PlainClient
from tapekit.testing import MemoryTape
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.numbers import UNLIMITED, AddrType, MoverMode, MtioOp, TapeOpenMode
from tapekit_ndmp_v4.wire import Message, Pair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VOLUME = "/vs1/vol1"
LET_GO_S: Final = 1.0

Step: TypeAlias = "Message | type[Message]"
"""A request to send, or a post to wait for."""

BACKUP: Final[tuple[Step, ...]] = (
    m.MoverSetRecordSizeRequest(len=4096),
    m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.RDWR),
    m.TapeMtioRequest(tape_op=MtioOp.REW, count=1),
    # One record, then a pause in the middle of everything.
    m.MoverSetWindowRequest(offset=0, length=4096),
    m.MoverListenRequest(mode=MoverMode.READ, addr_type=AddrType.LOCAL),
    m.DataConnectRequest(addr=m.LocalAddr()),
    m.DataStartBackupRequest(
        butype_name="dump", env=(Pair("FILESYSTEM", VOLUME), Pair("HIST", "Y"))
    ),
    m.NotifyMoverPausedPost,
    m.MoverGetStateRequest(),
    m.MoverSetWindowRequest(offset=4096, length=UNLIMITED),
    m.MoverContinueRequest(),
    m.NotifyDataHaltedPost,
    m.NotifyMoverHaltedPost,
    m.DataGetEnvRequest(),
    m.TapeMtioRequest(tape_op=MtioOp.EOF, count=2),
    m.TapeMtioRequest(tape_op=MtioOp.REW, count=1),
    m.DataStopRequest(),
    m.MoverStopRequest(),
)

RESTORE: Final[tuple[Step, ...]] = (
    m.MoverSetWindowRequest(offset=0, length=4096),
    m.MoverListenRequest(mode=MoverMode.WRITE, addr_type=AddrType.LOCAL),
    m.DataConnectRequest(addr=m.LocalAddr()),
    m.DataStartRecoverRequest(
        env=(Pair("FILESYSTEM", VOLUME),),
        nlist=(m.Name(original_path="", destination_path=f"{VOLUME}/back"),),
        butype_name="dump",
    ),
    m.NotifyMoverPausedPost,
    m.TapeMtioRequest(tape_op=MtioOp.REW, count=1),
    m.MoverSetWindowRequest(offset=0, length=UNLIMITED),
    m.MoverContinueRequest(),
    m.NotifyDataHaltedPost,
    m.MoverCloseRequest(),
    m.NotifyMoverHaltedPost,
    m.TapeCloseRequest(),
    m.DataStopRequest(),
    m.MoverStopRequest(),
)

STEPS: Final = BACKUP + RESTORE


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MemoryStack]:
    with memory_stack(tmp_path_factory.mktemp("stack")) as served:
        (served.volume / "directory").mkdir()
        for number in range(8):
            (served.volume / "directory" / f"file {number}").write_bytes(os.urandom(3000))
        yield served


def play(client: PlainClient, steps: tuple[Step, ...]) -> None:
    for step in steps:
        if isinstance(step, type):
            client.post(step)
        else:
            client.do(step)


def close(client: PlainClient) -> None:
    client.socket.close()


def reset(client: PlainClient) -> None:
    """Let the other end see a reset instead of an orderly end."""
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.socket.close()


def end_our_half(client: PlainClient) -> None:
    client.socket.shutdown(socket.SHUT_WR)


def test_the_conversation_is_a_good_one(stack: MemoryStack) -> None:
    with stack.client() as client:
        play(client, STEPS)
    assert (stack.volume / "back" / "directory" / "file 7").read_bytes() == (
        stack.volume / "directory" / "file 7"
    ).read_bytes()


@pytest.mark.parametrize("cut", [close, reset, end_our_half])
@pytest.mark.parametrize("answered", [True, False], ids=["after the reply", "before the reply"])
def test_a_session_cut_at_any_message_leaves_nothing(
    stack: MemoryStack, cut: Callable[[PlainClient], None], answered: bool
) -> None:
    stack.until_free()
    before = descriptors()
    waits = []
    for last in range(len(STEPS)):
        stack.tapes.inserted[0] = MemoryTape()
        with stack.client() as client:
            play(client, STEPS[:last])
            step = STEPS[last]
            if answered:
                play(client, (step,))
            elif not isinstance(step, type):
                client.send(step)
            cut(client)
            begun = time.monotonic()
            stack.until_free()
        while descriptors() - before and time.monotonic() - begun < PATIENCE_S:
            continue
        waits.append(time.monotonic() - begun)
        assert descriptors() - before == set(), step
        assert snapshots(stack) == [], step
    # A machine that is busy with other things may be late once or twice.
    assert statistics.median(waits) < LET_GO_S


def test_cuts_do_not_make_threads_grow(stack: MemoryStack) -> None:
    def cut_in_the_middle() -> int:
        with stack.client() as client:
            play(client, BACKUP[:8])
        stack.until_free()
        return threading.active_count()

    counts = [cut_in_the_middle() for _ in range(12)]
    # Workers are kept for the next job, never made anew for each session.
    assert max(counts[4:]) <= max(counts[:4])


def descriptors() -> set[str]:
    """What the process has open below the test's folder, and its sockets."""
    found = set()
    for each in Path("/proc/self/fd").iterdir():
        try:
            found.add(f"{each.name}: {each.readlink()}")
        except FileNotFoundError:
            continue
    return found


def snapshots(stack: MemoryStack) -> list[str]:
    folder = stack.volume.with_name("volume.snapshots")
    found = {each.name for each in folder.iterdir()} if folder.is_dir() else set()
    return sorted(found - {".locks"})


@pytest.mark.parametrize("lost", ["data", "tape"])
@pytest.mark.parametrize("at", ["listening", "connected", "active"])
def test_the_other_end_of_a_three_way_backup_halts(stack: MemoryStack, lost: str, at: str) -> None:
    stack.until_free()
    (stack.volume / "large").write_bytes(bytes(range(256)) * (16 << 12))
    with stack.client() as data, stack.client() as tape:
        tape.do(m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.RDWR))
        tape.do(m.MoverSetWindowRequest(offset=0, length=0))
        listen = m.MoverListenRequest(mode=MoverMode.READ, addr_type=AddrType.TCP)
        address = tape.do(listen).connect_addr
        if at != "listening":
            data.do(m.DataConnectRequest(addr=address))
        if at == "active":
            data.do(m.DataStartBackupRequest(butype_name="dump", env=(Pair("FILESYSTEM", VOLUME),)))
            tape.post(m.NotifyMoverPausedPost)
        gone, left = (data, tape) if lost == "data" else (tape, data)
        gone.socket.close()
        match (lost, at):
            case ("tape", "active"):
                assert left.post(m.NotifyDataHaltedPost).reason == 4
            case ("data", "connected"):
                # No byte has come, so there is nothing that could be missing.
                assert left.post(m.NotifyMoverHaltedPost).reason in {1, 4}
            case ("data", "active"):
                left.do(m.MoverAbortRequest())
                assert left.post(m.NotifyMoverHaltedPost).reason == 2
            case _:
                left.states()
    stack.until_free()
    (stack.volume / "large").unlink()
