"""Private data connections between processes: what Wireshark sees of them on the
way, and OpenSSL's client at one end.
"""

from __future__ import annotations

import functools
import os
import subprocess
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from captures import DOUBTFUL, NDMP_PORT, capturing, own_address, packets_in
from interop_peers import need, program
from running_stack import PATIENCE_S, make_stack, run_checked, served
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.addresses import credentials_of, to_endpoint
from tapekit_ndmp_v4.client import (
    PRIVATE_DATA,
    BackupPlan,
    Connecting,
    NdmpClient,
    PrivateData,
    RecoverPlan,
    TapeAt,
    back_up,
    choose_extensions,
    recover,
)
from tapekit_ndmp_v4.numbers import (
    AddrType,
    AuthType,
    MoverHaltReason,
    MoverMode,
    TapeOpenMode,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from running_stack import Stack
    from tapekit.hookspecs.transport import Endpoint

DATA_PORT = 18610
NAME = "a-name-of-its-own"
SECRET = b"nobody on the way is to read this"


@pytest.mark.skipif(os.geteuid() != 0, reason="capturing needs root")
@pytest.mark.parametrize("wanted", [PrivateData.REQUIRED, PrivateData.NO], ids=lambda one: one.name)
async def test_no_byte_of_a_file_is_readable_on_the_way(
    tmp_path: Path, wanted: PrivateData
) -> None:
    need("tshark")
    host = own_address(100 + wanted.value)
    stack = make_stack(tmp_path / "stack", host, NDMP_PORT)
    stack.edit(r"^\[transport_tcp\]$", f"[transport_tcp]\ndata_ports = [{DATA_PORT}, {DATA_PORT}]")
    (stack.volume / NAME).write_bytes(SECRET * 5_000)
    stack.start()
    file = tmp_path / "capture.pcapng"
    try:
        with capturing(stack, file, with_data=True):
            await back_up_and_restore(stack, wanted)
    finally:
        assert stack.stop() == 0
    assert (stack.volume / "back" / NAME).read_bytes() == SECRET * 5_000
    captured = file.read_bytes()
    is_private = wanted is PrivateData.REQUIRED
    assert (SECRET in captured) is not is_private
    # File history would have the name on the control connections.
    assert (NAME.encode() in captured) is not is_private
    data = f"tcp.port == {DATA_PORT} && tcp.len > 0"
    others = f"{data} && !tls && !tcp.segment && !tcp.reassembled_in"
    assert bool(as_tls(file, others)) is not is_private
    hellos = as_tls(
        file, "tls.handshake.type == 2 && tls.handshake.extensions.supported_version == 0x0304"
    )
    assert len(hellos) == (2 if is_private else 0)
    control = f"tcp.port == {NDMP_PORT} && ({DOUBTFUL})"
    assert packets_in(file, control) == []


@pytest.mark.parametrize("ends_well", [True, False], ids=["a farewell", "killed"])
async def test_openssl_writes_to_a_tape(tmp_path: Path, *, ends_well: bool) -> None:
    """A program that knows TLS and nothing of tapekit does what the README says."""
    need("openssl")
    with served(tmp_path / "stack") as stack:
        async with session(stack) as client:
            assert await choose_extensions(client, PRIVATE_DATA) == {0x7A9E: 1}
            await client.call(m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.RDWR))
            listen = m.MoverListenRequest(mode=MoverMode.READ, addr_type=AddrType.TCP)
            address = (await client.call(listen)).connect_addr
            endpoint = to_endpoint(address)
            token = bytes.fromhex(dict(credentials_of(address))["TAPEKIT_TLS_TOKEN"])
            assert endpoint is not None
            send = functools.partial(write_by_openssl, endpoint, token, ends_well=ends_well)
            await trio.to_thread.run_sync(send)
            with trio.fail_after(PATIENCE_S):
                halted = await client.wait_for(m.NotifyMoverHaltedPost)
            state = await client.call(m.MoverGetStateRequest())
    if ends_well:
        assert halted.reason == MoverHaltReason.CONNECT_CLOSED
        assert state.bytes_moved >= len(SECRET) * 1000
    else:
        assert halted.reason == MoverHaltReason.CONNECT_ERROR


def write_by_openssl(endpoint: Endpoint, token: bytes, *, ends_well: bool) -> None:
    """Show the token, wait for the welcome, and send a stream."""
    command = [program("openssl"), "s_client", "-connect", str(endpoint), "-tls1_3"]
    with subprocess.Popen(
        [*command, "-brief", "-nocommands"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as openssl:
        assert openssl.stdin is not None
        assert openssl.stdout is not None
        openssl.stdin.write(token)
        openssl.stdin.flush()
        assert openssl.stdout.read(1) == b"\x06"
        openssl.stdin.write(SECRET * 1000)
        openssl.stdin.flush()
        if not ends_well:
            openssl.kill()


def as_tls(file: Path, wanted: str) -> list[str]:
    """The packets that a filter selects, the data port's taken for TLS."""
    command = [program("tshark"), "-r", file, "-2", "-d", f"tcp.port=={DATA_PORT},tls"]
    read = run_checked([*command, "-Y", wanted])
    return [line for line in read.splitlines() if "Running as" not in line]


@asynccontextmanager
async def session(stack: Stack) -> AsyncIterator[NdmpClient]:
    async with NdmpClient.connect(stack.host, stack.port, clock=time.time) as client:
        await client.open()
        await client.authenticate(AuthType.MD5, "ndmp", stack.password.encode())
        yield client


async def back_up_and_restore(stack: Stack, wanted: PrivateData) -> None:
    connecting = Connecting(private_data=wanted)
    async with session(stack) as data, session(stack) as tape:
        environment = (("FILESYSTEM", "/vs1/vol1"), ("HIST", "N"))
        plan = BackupPlan(tape=TapeAt("nrst0a"), environment=environment, connecting=connecting)
        backup = await back_up(data, plan, tape=tape)
        restore = RecoverPlan(
            parts=backup.parts,
            environment=backup.environment,
            names=(m.Name(original_path="", destination_path="/vs1/vol1/back"),),
            connecting=connecting,
        )
        await recover(data, restore, tape=tape)
