"""A server's listings in one value, also from servers that lack some."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4 import xdr
from tapekit_ndmp_v4.client import describe
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.exchanges import EXCHANGES, refusal
from tapekit_ndmp_v4.numbers import AddrType, AuthType, NdmpError

if TYPE_CHECKING:
    import trio

OK = NdmpError.NO_ERR

DUMP = m.ButypeInfo(butype_name="dump", default_env=(m.Pair("HIST", "n"),), attrs=0x5FE)
DRIVE = m.DeviceInfo(
    model="Virtual LTO",
    caplist=(m.DeviceCapability(device="nrst0a", attr=0, capability=()),),
)
VOLUME = msgspec.structs.replace(xdr.zero(m.FsInfo), fs_logical_device="/vs1/vol1")

REPLIES: list[tuple[Any, Any]] = [
    (
        m.ConfigGetConnectionTypeRequest(),
        m.ConfigGetConnectionTypeReply(error=OK, addr_types=(AddrType.LOCAL, AddrType.TCP)),
    ),
    (
        m.ConfigGetButypeInfoRequest(),
        m.ConfigGetButypeInfoReply(error=OK, butype_info=(DUMP,)),
    ),
    (m.ConfigGetFsInfoRequest(), m.ConfigGetFsInfoReply(error=OK, fs_info=(VOLUME,))),
    (m.ConfigGetTapeInfoRequest(), m.ConfigGetTapeInfoReply(error=OK, tape_info=(DRIVE,))),
    (m.ConfigGetScsiInfoRequest(), m.ConfigGetScsiInfoReply(error=OK, scsi_info=())),
    (
        m.ConfigGetServerInfoRequest(),
        m.ConfigGetServerInfoReply(
            error=OK,
            vendor_name="v",
            product_name="p",
            revision_number="r",
            auth_type=(AuthType.MD5,),
        ),
    ),
    (
        m.ConfigGetHostInfoRequest(),
        m.ConfigGetHostInfoReply(error=OK, hostname="h", os_type="Linux", os_vers="6", hostid="1"),
    ),
]


async def test_everything_that_a_server_lists_is_there(scene: Any, nursery: trio.Nursery) -> None:
    for request, reply in REPLIES:
        scene.dialogue.expect(request, reply)
    nursery.start_soon(scene.dialogue.run)
    told = await describe(scene.client)
    assert told.address_types == (AddrType.LOCAL, AddrType.TCP)
    assert told.butypes == (DUMP,)
    assert told.file_systems == (VOLUME,)
    assert told.tapes == (DRIVE,)
    assert told.changers == ()
    assert (told.server, told.host) == (REPLIES[5][1], REPLIES[6][1])
    await scene.client.close()


async def test_what_a_server_does_not_support_is_empty(scene: Any, nursery: trio.Nursery) -> None:
    for number, (request, _) in enumerate(REPLIES):
        if number % 2:
            scene.dialogue.refuse_unread(request, NdmpError.NOT_SUPPORTED_ERR)
        else:
            row = EXCHANGES.of(type(request))
            scene.dialogue.expect(request, refusal(row, NdmpError.NOT_SUPPORTED_ERR))
    nursery.start_soon(scene.dialogue.run)
    told = await describe(scene.client)
    assert (told.server, told.host) == (None, None)
    for field in ("address_types", "butypes", "file_systems", "tapes", "changers"):
        assert getattr(told, field) == ()
    await scene.client.close()


async def test_other_refusals_come_out(scene: Any, nursery: trio.Nursery) -> None:
    scene.dialogue.refuse_unread(REPLIES[0][0], NdmpError.NOT_AUTHORIZED_ERR)
    nursery.start_soon(scene.dialogue.run)
    with pytest.raises(NdmpReplyError, match="NOT_AUTHORIZED_ERR"):
        await describe(scene.client)
    await scene.client.close()
