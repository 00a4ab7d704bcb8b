"""An administrator's commands, in processes of their own, on a stack that serves."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
import trio

from interop_peers import need
from running_stack import PATIENCE_S, TAPEKIT, make_stack, served
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import NdmpClient
from tapekit_ndmp_v4.errors import ConnectionLost
from tapekit_ndmp_v4.numbers import AddrType, AuthType, MoverMode, TapeOpenMode
from tapekit_ndmp_v4.wire import Pair

if TYPE_CHECKING:
    from pathlib import Path

    from running_stack import Stack


def command(stack: Stack, line: str) -> subprocess.CompletedProcess[str]:
    """A command line on the stack, whatever its status."""
    return subprocess.run(
        (*TAPEKIT, *line.split(), "--stack", str(stack.file)),
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


def said(stack: Stack, line: str) -> str:
    """What a command prints that must succeed."""
    done = command(stack, line)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def waiting_backup(stack: Stack, meanwhile: object) -> str:
    """A backup to the session's own tape that waits for its window's end to be
    moved, while something is done to it; gives how its session ended.
    """
    assert callable(meanwhile)
    async with NdmpClient.connect(stack.host, stack.port, clock=time.time) as client:
        await client.open()
        await client.authenticate(AuthType.MD5, "ndmp", stack.password.encode())
        await client.call(m.MoverSetRecordSizeRequest(len=10240))
        await client.call(m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.RDWR))
        await client.call(m.MoverSetWindowRequest(offset=0, length=102400))
        await client.call(m.MoverListenRequest(mode=MoverMode.READ, addr_type=AddrType.LOCAL))
        await client.call(m.DataConnectRequest(addr=m.LocalAddr()))
        environment = (Pair("FILESYSTEM", "/vs1/vol1"), Pair("HIST", "Y"))
        await client.call(m.DataStartBackupRequest(butype_name="dump", env=environment))
        await client.wait_for(m.NotifyMoverPausedPost)
        await trio.to_thread.run_sync(meanwhile)
        status = await client.wait_for(m.NotifyConnectionStatusPost)
        while status.text_reason == "Connected":
            status = await client.wait_for(m.NotifyConnectionStatusPost)
        with contextlib.suppress(ConnectionLost):
            await client.call(m.DataGetStateRequest())
        return status.text_reason


@pytest.mark.requirement("R216")
def test_a_running_job_is_seen_and_ended_from_elsewhere(stack: Stack) -> None:
    (stack.volume / "large").write_bytes(os.urandom(16 << 20))

    def see_and_end() -> None:
        (row,) = json.loads(said(stack, "ndmp probe --json"))
        assert (row["user"], row["tape_device"]) == ("ndmp", "nrst0a")
        assert (row["data"]["state"], row["data"]["path"]) == ("ACTIVE", "/vs1/vol1")
        assert (row["mover"]["state"], row["mover"]["pause_reason"]) == ("PAUSED", "EOW")
        assert row["mover"]["bytes_moved"] == 102400
        assert "PAUSED" in said(stack, "system services ndmp status")
        assert said(stack, "system services ndmp kill 1") == "Session 1 is ended.\n"
        shown = said(stack, "volume snapshot list /vs1/vol1 --json")
        assert shown.strip() == "[]"
        (drive, *_) = json.loads(said(stack, "vtape list --json"))
        assert drive is not None

    assert trio.run(waiting_backup, stack, see_and_end) == "An administrator ended the session"
    assert "Session" in said(stack, "ndmp status")


def test_a_second_server_of_the_same_folder_is_refused(stack: Stack) -> None:
    second = subprocess.run(
        (*TAPEKIT, "serve", str(stack.file)),
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert second.returncode == 2
    assert re.search(rf"another server uses .*admin\.sock \(process {stack.pid}\)", second.stderr)
    assert said(stack, "admin status").splitlines()[3].split() == ["Process", str(stack.pid)]


def test_a_killed_server_leaves_nothing_in_the_way_of_the_next(tmp_path: Path) -> None:
    stack = make_stack(tmp_path / "stack")
    stack.start()
    stack.kill()
    refused = command(stack, "ndmp status")
    assert refused.returncode == 1
    assert "no server of the stack in" in refused.stderr
    stack.start()
    assert said(stack, "ndmp status").startswith("Session")
    assert stack.stop() == 0


def test_ndmjob_is_recorded_and_replayed_against_another_stack(
    stack: Stack, tmp_path: Path
) -> None:
    need("ndmjob")
    (stack.volume / "file").write_bytes(b"content" * 10000)
    plaintext = "vserver services ndmp modify -vserver vs1 -authtype plaintext,challenge"
    said(stack, plaintext)
    log = said(stack, "vserver services ndmp log start --advanced").split()[-1]
    stack.ndmjob(
        *("-c", "-B", "dump", "-D", stack.agent(text=True), "-f", "nrst0a"),
        *("-E", "FILESYSTEM=/vs1/vol1"),
    )
    said(stack, "vserver services ndmp log stop --advanced")
    with served(tmp_path / "other") as other:
        (other.volume / "file").write_bytes(b"content" * 10000)
        said(other, plaintext)
        password = other.directory / "ndmp-password"
        line = f"ndmp replay {log} --port {other.port} --password-file {password}"
        assert said(other, line).endswith("answers as recorded\n")
        (other.volume / "file").unlink()
        (other.volume / "other").write_bytes(b"content" * 50000)
        changed = command(other, line)
    assert changed.returncode == 1
    assert "recorded" in changed.stdout


def test_a_trace_is_read_from_elsewhere_line_by_line(stack: Stack) -> None:
    expected = [
        ("post", "NOTIFY_CONNECTION_STATUS"),
        ("request", "CONNECT_OPEN"),
        ("reply", "CONNECT_OPEN"),
    ]
    with subprocess.Popen(
        (*TAPEKIT, "ndmp", "trace", str(stack.file)), stdout=subprocess.PIPE, text=True
    ) as reader:
        assert reader.stdout is not None
        # Nobody is told when the reader has begun, so there is talk until it has.
        while not select.select([reader.stdout], [], [], 0)[0]:
            trio.run(one_question, stack)
        trio.run(one_question, stack)
        rows: list[dict[str, Any]] = []
        while [(row["kind"], row["message"]) for row in rows[-3:]] != expected:
            rows.append(json.loads(reader.stdout.readline()))
        reader.send_signal(signal.SIGINT)
        assert reader.wait(PATIENCE_S) == 0
    assert len({row["session"] for row in rows[-3:]}) == 1


async def one_question(stack: Stack) -> None:
    async with NdmpClient.connect(stack.host, stack.port, clock=time.time) as client:
        await client.open()
