"""A recovery from a Snapshot copy counts where jobs of the dump engine are limited."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
import trio

from session_stack import new_site, serving
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import NdmpClient, choose_extensions
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import AddrType, MoverMode, NdmpError, TapeOpenMode
from tapekit_ndmp_v4.wire import Pair
from tapekit_snapext import messages as s

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = "/vs1/vol1/.snapshot/monday/file"


def of_one_dump(text: str) -> str:
    text = text.replace("plugins = [\n", 'plugins = [\n    "snapext",\n')
    return f"{text}\n[ndmp_v4]\ndump_sessions = 1\n"


async def begin_backup(client: NdmpClient) -> None:
    await client.call(m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.RDWR))
    await client.call(m.MoverSetRecordSizeRequest(len=65536))
    await client.call(m.MoverListenRequest(mode=MoverMode.READ, addr_type=AddrType.LOCAL))
    await client.call(m.DataConnectRequest(addr=m.LocalAddr()))
    env = (Pair("FILESYSTEM", "/vs1/vol1"),)
    await client.call(m.DataStartBackupRequest(butype_name="dump", env=env))


async def refusal_of(step: Any) -> int:
    with pytest.raises(NdmpReplyError) as caught:
        await step
    return caught.value.code


async def test_recoveries_and_backups_share_the_room(tmp_path: Path) -> None:
    directory = tmp_path / "site"
    kernel = new_site(directory, of_one_dump)
    storage: Any = kernel.storage
    entered, may_go_on = threading.Event(), threading.Event()
    open_restore = storage.open_restore

    def wait(*how: Any, **more: Any) -> Any:
        entered.set()
        assert may_go_on.wait(60)
        return open_restore(*how, **more)

    async with serving(directory, kernel) as stack:
        (stack.volume / "file").write_bytes(b"content")
        storage.keeper.create(storage.volume("/vs1/vol1"), "monday")
        storage.open_restore = wait
        recover = s.SnapRecoverRequest(source=SOURCE, destination="/vs1/vol1/again")
        async with stack.client() as recovering, stack.client() as backing_up:
            assert await choose_extensions(recovering, {0x2050: (3,)}, s.EXCHANGES)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(recovering.call, recover)
                assert await trio.to_thread.run_sync(entered.wait, 60)
                busy = await refusal_of(begin_backup(backing_up))
                assert busy == NdmpError.DEVICE_BUSY_ERR
                may_go_on.set()
            with trio.fail_after(60):
                assert (await recovering.wait_for(s.NotifySnapRecoverEndPost)).error == 0
            assert (stack.volume / "again").read_bytes() == b"content"
