"""Damaged messages against a whole server: it answers or hangs up, and lives."""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING

import trio
from test_left_out import without

from session_stack import clock, new_site, serving
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import NdmpClient
from tapekit_ndmp_v4.connection import NdmpConnection, Role
from tapekit_ndmp_v4.numbers import AddrType, AuthType, DataState, MtioOp, TapeOpenMode
from tapekit_ndmp_v4.wire import Pair

if TYPE_CHECKING:
    from pathlib import Path

CASES = 3000

REQUESTS = (
    m.ConfigGetServerInfoRequest(),
    m.ConfigGetFsInfoRequest(),
    m.ConfigSetExtListRequest(
        ndmp_selected_ext=(m.ClassVersion(ext_class_id=0x2050, ext_version=3),)
    ),
    m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.RDWR),
    m.TapeWriteRequest(data_out=bytes(5000)),
    m.TapeReadRequest(count=4096),
    m.TapeMtioRequest(tape_op=MtioOp.FSF, count=3),
    m.TapeGetStateRequest(),
    m.MoverSetRecordSizeRequest(len=1024),
    m.MoverSetWindowRequest(offset=0, length=1 << 20),
    m.MoverListenRequest(mode=0, addr_type=AddrType.LOCAL),
    m.MoverAbortRequest(),
    m.MoverStopRequest(),
    m.DataListenRequest(addr_type=AddrType.TCP),
    m.DataConnectRequest(addr=m.LocalAddr()),
    m.DataStartBackupRequest(
        butype_name="dump", env=(Pair("FILESYSTEM", "/vs1/vol1"), Pair("HIST", "Y"))
    ),
    m.DataStartRecoverRequest(
        env=(Pair("PREFIX", "/vs1/vol1/x"),),
        nlist=(m.Name(original_path="/", destination_path="/vs1/vol1/x"),),
        butype_name="dump",
    ),
    m.DataAbortRequest(),
    m.DataGetEnvRequest(),
    m.DataStopRequest(),
)


def conversation(chance: random.Random) -> bytes:
    """A login and some requests, as a client would send them."""
    wire = NdmpConnection(Role.CLIENT, clock=clock)
    login = m.ConnectClientAuthRequest(auth_data=m.AuthNone())
    chosen = chance.choices(REQUESTS, k=chance.randint(1, 6))
    sent = [m.ConnectOpenRequest(protocol_version=4), login, *chosen]
    return b"".join(map(wire.send_request, sent))


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Cut, flip, insert, repeat, or put an absurd number somewhere."""
    bad = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(bad))
        match chance.randrange(6):
            case 0:
                del bad[at:]
            case 1:
                bad[at] ^= 1 << chance.randrange(8)
            case 2:
                bad[at:at] = chance.randbytes(chance.randint(1, 8))
            case 3:
                del bad[at : at + chance.randint(1, 8)]
            case 4:
                at &= ~3
                number = chance.choice((0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1 << 20))
                bad[at : at + 4] = struct.pack(">I", number)
            case 5:
                bad[at:at] = bad[at : at + 64]
        if not bad:
            return b"\0"
    return bytes(bad)


async def send(port: int, data: bytes) -> None:
    """Send everything, and hear the server out."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        try:
            await stream.send_all(data)
            await stream.send_eof()
            while await stream.receive_some():
                pass
        except trio.BrokenResourceError:
            return


async def test_damaged_conversations_harm_nobody_else(tmp_path: Path) -> None:
    directory = tmp_path / "site"
    chance = random.Random(20)
    async with serving(directory, new_site(directory, without("auth", "snap_copy"))) as stack:
        (stack.volume / "file").write_bytes(bytes(100_000))
        async with NdmpClient.connect("127.0.0.1", stack.port, clock=clock) as witness:
            await witness.open()
            await witness.authenticate(AuthType.NONE)
            for number in range(CASES):
                data = damaged(conversation(chance), chance)
                with trio.fail_after(60):
                    await send(stack.port, data)
                if number % 50 == 0:
                    state = await witness.call(m.DataGetStateRequest())
                    assert state.state == DataState.IDLE
            await witness.call(m.TapeOpenRequest(device="nrst1a", mode=TapeOpenMode.READ))
        assert sorted(each.name for each in stack.volume.iterdir()) in (["file"], ["file", "x"])
