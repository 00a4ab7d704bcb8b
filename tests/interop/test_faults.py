"""What is left when a server is killed in the middle of a backup."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import trio

from running_stack import make_stack
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import BackupPlan, NdmpClient, TapeAt, back_up
from tapekit_ndmp_v4.numbers import AddrType, AuthType, MoverMode, TapeOpenMode
from tapekit_ndmp_v4.wire import Pair

if TYPE_CHECKING:
    from pathlib import Path


def test_a_killed_server_loses_no_complete_record_and_leaves_no_copy(tmp_path: Path) -> None:
    stack = make_stack(tmp_path / "stack")
    for number in range(8):
        (stack.volume / f"file{number}").write_bytes(os.urandom(24 << 20))
    stack.start()
    seen = trio.run(until_some_is_on_tape, stack.port, stack.password.encode(), stack.kill)
    assert seen > 0
    (row,) = [row for row in stack.cartridges() if row["barcode"] == "VT0001"]
    files = row["files"]
    assert isinstance(files, list)
    assert files[0]["bytes"] >= seen
    image = stack.export("VT0001", 0, tmp_path / "image")
    assert image.stat().st_size == files[0]["bytes"]
    assert image.read_bytes()[24:28] == (60012).to_bytes(4, "little")
    stack.start()
    try:
        trio.run(whole_backup, stack.port, stack.password.encode())
        shown = stack.tapekit("volume", "snapshot", "list", str(stack.file), "/vs1/vol1", "--json")
        assert shown.strip() == "[]"
    finally:
        assert stack.stop() == 0


async def until_some_is_on_tape(port: int, password: bytes, kill: object) -> int:
    """Back up until the mover has written a few MiB, then kill the server."""
    async with NdmpClient.connect("127.0.0.1", port, clock=time.time) as client:
        await client.open()
        await client.authenticate(AuthType.MD5, "ndmp", password)
        await client.call(m.MoverSetRecordSizeRequest(len=10240))
        await client.call(m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.RDWR))
        await client.call(m.MoverListenRequest(mode=MoverMode.READ, addr_type=AddrType.LOCAL))
        await client.call(m.DataConnectRequest(addr=m.LocalAddr()))
        environment = (Pair("FILESYSTEM", "/vs1/vol1"),)
        await client.call(m.DataStartBackupRequest(butype_name="dump", env=environment))
        moved = 0
        while moved < 4 << 20:
            moved = (await client.call(m.MoverGetStateRequest())).bytes_moved
        assert callable(kill)
        kill()
        return moved


async def whole_backup(port: int, password: bytes) -> None:
    async with NdmpClient.connect("127.0.0.1", port, clock=time.time) as client:
        await client.open()
        await client.authenticate(AuthType.MD5, "ndmp", password)
        plan = BackupPlan(tape=TapeAt("nrst0a"), environment=(("FILESYSTEM", "/vs1/vol1"),))
        await back_up(client, plan)
