"""Whole sessions on secure control connections."""

from __future__ import annotations

import datetime as dt
import re
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

from session_stack import clock, new_site
from tapekit.errors import TapekitError
from tapekit.kernel import run
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import (
    BackupPlan,
    NdmpClient,
    RecoverPlan,
    ServerTrust,
    TapeAt,
    back_up,
    recover,
)
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import AuthType, DataState, NdmpError
from tapekit_transport_tls.certificates import facts_of, make_certificate
from tapekit_transport_tls.key_files import replace_file

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

UNVERIFIED = ServerTrust(unverified=True)


class SecureStack:
    """A stack that serves plain and secure control connections."""

    def __init__(self, directory: Path, plain: int, secure: int) -> None:
        self.directory = directory
        self.plain = plain
        self.secure = secure

    @property
    def certificate(self) -> Path:
        return self.directory / "ndmps.pem"

    @property
    def fingerprint(self) -> str:
        return facts_of(self.certificate.read_bytes(), self.certificate).fingerprint

    @property
    def password(self) -> bytes:
        return (self.directory / "ndmp-password").read_bytes().strip()

    @asynccontextmanager
    async def stranger(self, trust: ServerTrust) -> AsyncIterator[NdmpClient]:
        async with NdmpClient.connect("localhost", self.secure, clock=clock, tls=trust) as client:
            yield client

    @asynccontextmanager
    async def client(self, trust: ServerTrust = UNVERIFIED) -> AsyncIterator[NdmpClient]:
        async with self.stranger(trust) as client:
            await client.open()
            await client.authenticate(AuthType.MD5, "ndmp", self.password)
            yield client


@asynccontextmanager
async def served(
    directory: Path, svms: str = '["vs1"]', edit: Callable[[str], str] = str
) -> AsyncIterator[SecureStack]:
    def turn_on(text: str) -> str:
        text = text.replace("svms = []", f"svms = {svms}")
        return edit(re.sub(r'"127\.0\.0\.1:30000"', '"127.0.0.1:0"', text))

    kernel = new_site(directory, turn_on)
    stop, stopping = trio.open_memory_channel[object](2)
    told, addresses = trio.open_memory_channel[str](4)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, kernel, stopping, told.send_nowait)
        with trio.fail_after(60):
            ports = [int((await addresses.receive()).rpartition(":")[2]) for _ in range(2)]
        by_name = dict(zip([one.name for one in kernel.control_transports], ports, strict=True))
        yield SecureStack(directory, by_name["tcp"], by_name["tls"])
        await stop.send("stop")


@pytest.mark.requirement("R183")
async def test_a_backup_and_its_restore_run_inside_tls(tmp_path: Path) -> None:
    async with (
        served(tmp_path / "site") as stack,
        stack.client(ServerTrust(fingerprint=stack.fingerprint)) as client,
    ):
        volume = stack.directory / "volumes" / "vs1" / "vol1"
        (volume / "file").write_bytes(b"content" * 100_000)
        environment = (("FILESYSTEM", "/vs1/vol1"), ("HIST", "Y"))
        backup = await back_up(client, BackupPlan(tape=TapeAt("nrst0a"), environment=environment))
        names = (m.Name(original_path="", destination_path="/vs1/vol1/back"),)
        plan = RecoverPlan(parts=backup.parts, environment=backup.environment, names=names)
        await recover(client, plan)
        assert (volume / "back" / "file").read_bytes() == b"content" * 100_000


@pytest.mark.requirement("R184")
async def test_clients_choose_between_the_secure_and_the_standard_service(tmp_path: Path) -> None:
    async with (
        served(tmp_path / "site") as stack,
        stack.client() as secure,
        NdmpClient.connect("127.0.0.1", stack.plain, clock=clock) as plain,
    ):
        await plain.open()
        await plain.authenticate(AuthType.MD5, "ndmp", stack.password)
        for client in (secure, plain):
            state = await client.call(m.DataGetStateRequest())
            assert state.state == DataState.IDLE


@pytest.mark.requirement("R183")
async def test_the_certificate_itself_or_its_fingerprint_is_trusted(tmp_path: Path) -> None:
    async with served(tmp_path / "site") as stack:
        plain_text = stack.fingerprint.replace(":", "").lower()
        for trust in (
            ServerTrust(ca_file=stack.certificate),
            ServerTrust(ca_file=stack.certificate, server_name="127.0.0.1"),
            ServerTrust(fingerprint=stack.fingerprint),
            ServerTrust(fingerprint=plain_text),
            UNVERIFIED,
        ):
            async with stack.stranger(trust) as client:
                await client.open()


async def test_a_renewed_certificate_needs_no_restart(tmp_path: Path) -> None:
    async with served(tmp_path / "site") as stack, stack.client() as client:
        old = stack.fingerprint
        replace_file(stack.certificate, make_certificate(("localhost",), dt.datetime.now(dt.UTC)))
        assert stack.fingerprint != old
        async with stack.stranger(ServerTrust(fingerprint=stack.fingerprint)) as other:
            await other.open()
        await client.call(m.DataGetStateRequest())


@pytest.mark.parametrize(
    ("make_trust", "row"),
    [
        (lambda stack: ServerTrust(fingerprint="00" * 32), "server-certificate-differs"),
        (lambda stack: ServerTrust(fingerprint="00"), "bad-fingerprint"),
        (lambda stack: ServerTrust(fingerprint="zz" * 32), "bad-fingerprint"),
        (lambda stack: ServerTrust(ca_file=other_certificate(stack)), "server-not-trusted"),
        (
            lambda stack: ServerTrust(ca_file=stack.certificate, server_name="elsewhere"),
            "server-not-trusted",
        ),
        (lambda stack: ServerTrust(ca_file=Path("/absent")), "ca-file-unreadable"),
        (lambda stack: ServerTrust(ca_file=stack.directory / "tapekit.toml"), "ca-file-unreadable"),
        (lambda stack: ServerTrust(), "trust-unclear"),
        (lambda stack: ServerTrust(fingerprint="00" * 32, unverified=True), "trust-unclear"),
    ],
)
async def test_a_server_without_proof_gets_no_request(
    tmp_path: Path, make_trust: Callable[[SecureStack], ServerTrust], row: str
) -> None:
    async with served(tmp_path / "site") as stack:
        with pytest.raises(TapekitError) as refused:
            async with stack.stranger(make_trust(stack)):
                raise AssertionError("a session was opened")
        assert refused.value.id == f"ndmp_v4.{row}"
        if row == "server-certificate-differs":
            assert stack.fingerprint in str(refused.value)


def other_certificate(stack: SecureStack) -> Path:
    """A certificate for the same names, with another key."""
    file = stack.directory / "other.pem"
    file.write_bytes(make_certificate(("localhost",), dt.datetime.now(dt.UTC)))
    return file


async def test_a_client_of_tls_at_the_standard_port_learns_why(tmp_path: Path) -> None:
    async with served(tmp_path / "site") as stack:
        with pytest.raises(TapekitError) as refused:
            async with NdmpClient.connect("localhost", stack.plain, clock=clock, tls=UNVERIFIED):
                raise AssertionError("a session was opened")
        assert refused.value.id == "ndmp_v4.server-without-tls"


@pytest.mark.requirement("R184")
async def test_a_secure_session_has_the_svms_for_which_the_service_is_on(tmp_path: Path) -> None:
    async with served(tmp_path / "site", '["vs2"]') as stack, stack.client() as client:
        told: list[m.LogMessagePost] = []
        client.on_post(m.LogMessagePost, told.append)
        assert (await client.call(m.ConfigGetFsInfoRequest())).fs_info == ()
        environment = (("FILESYSTEM", "/vs1/vol1"),)
        with pytest.raises(NdmpReplyError) as refused:
            await back_up(client, BackupPlan(tape=TapeAt("nrst0a"), environment=environment))
        assert refused.value.code == NdmpError.PERMISSION_ERR
    async with served(tmp_path / "other", '["*"]') as stack, stack.client() as client:
        volumes = (await client.call(m.ConfigGetFsInfoRequest())).fs_info
        assert [each.fs_logical_device for each in volumes] == ["/vs1/vol1"]


@pytest.mark.requirement("R184")
async def test_a_user_of_other_svms_is_refused_at_the_login(tmp_path: Path) -> None:
    def limit(text: str) -> str:
        return text.replace('{ name = "ndmp",', '{ name = "ndmp", svms = ["vs2"],')

    async with (
        served(tmp_path / "site", '["vs1"]', limit) as stack,
        stack.stranger(UNVERIFIED) as client,
    ):
        told: list[m.LogMessagePost] = []
        client.on_post(m.LogMessagePost, told.append)
        await client.open()
        with pytest.raises(NdmpReplyError) as refused:
            await client.authenticate(AuthType.MD5, "ndmp", stack.password)
        assert refused.value.code == NdmpError.NOT_AUTHORIZED_ERR
        assert "ndmp may use no storage virtual machine over" in told[-1].entry


async def test_a_plain_client_at_the_secure_port_hears_nothing(tmp_path: Path, caplog: Any) -> None:
    def impatient(text: str) -> str:
        return text.replace("[transport_tls]\n", "[transport_tls]\nhandshake_timeout_s = 0.1\n")

    async with served(tmp_path / "site", edit=impatient) as stack, stack.client() as client:
        async with await trio.open_tcp_stream("127.0.0.1", stack.secure) as plain:
            with trio.fail_after(60):
                assert await plain.receive_some() == b""
        await client.call(m.DataGetStateRequest())
    assert "no TLS within 0.1 s" in caplog.text
