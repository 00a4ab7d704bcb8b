"""SMTape among the butypes of a server: what it is, and how much of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from plain_client import listening
from session_stack import new_site, serving
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import BackupPlan, TapeAt, back_up
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.wire import Pair

if TYPE_CHECKING:
    from pathlib import Path

VOLUME = "/vs1/vol1"


def limited(text: str) -> str:
    return f"{text}\n[ndmp_v4]\nsmtape_sessions = 1\ndump_sessions = 1\n"


@pytest.mark.requirement("R002")
@pytest.mark.requirement("R127")
async def test_a_new_site_offers_both_engines(tmp_path: Path) -> None:
    async with serving(tmp_path, new_site(tmp_path)) as stack, stack.client() as client:
        reply = await client.call(m.ConfigGetButypeInfoRequest())
        assert {info.butype_name for info in reply.butype_info} >= {"dump", "smtape"}


@pytest.mark.requirement("R291")
@pytest.mark.parametrize(("size", "fits"), [(4096, True), (262144, True), (10240, False)])
async def test_records_are_multiples_of_4_kib(tmp_path: Path, size: int, fits: bool) -> None:
    async with serving(tmp_path, new_site(tmp_path)) as stack, stack.client() as client:
        (stack.volume / "file").write_bytes(b"content")
        plan = BackupPlan(
            tape=TapeAt("nrst0a"),
            environment=(("FILESYSTEM", VOLUME),),
            butype="smtape",
            record_size=size,
        )
        if fits:
            assert (await back_up(client, plan)).parts
            return
        with pytest.raises(NdmpReplyError, match="ILLEGAL_ARGS_ERR"):
            await back_up(client, plan)


@pytest.mark.requirement("R209")
@pytest.mark.requirement("R210")
async def test_jobs_are_counted_apart(tmp_path: Path) -> None:
    async with serving(tmp_path, new_site(tmp_path, limited)) as stack:
        (stack.volume / "large").write_bytes(bytes(range(256)) * (32 << 12))
        with listening() as (address, _):
            async with stack.client() as first, stack.client() as second, stack.client() as third:
                for client in (first, second, third):
                    await client.call(m.DataConnectRequest(addr=address))
                await first.call(backup("smtape"))
                with pytest.raises(NdmpReplyError, match="DEVICE_BUSY_ERR"):
                    await second.call(backup("smtape"))
                await third.call(backup("dump"))


def backup(butype: str) -> m.DataStartBackupRequest:
    return m.DataStartBackupRequest(butype_name=butype, env=(Pair("FILESYSTEM", VOLUME),))
