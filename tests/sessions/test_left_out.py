"""A stack from which one plugin is left out still does what the others can."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from session_stack import new_site, serving, without
from tapekit.kernel import StartErrors
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import BackupPlan, NdmpClient, RecoverPlan, TapeAt, back_up, recover
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import AddrType, AuthType, NdmpError, TapeOpenMode

if TYPE_CHECKING:
    from pathlib import Path

VOLUME = "/vs1/vol1"
ENVIRONMENT = (("FILESYSTEM", VOLUME), ("HIST", "Y"))


async def logged_in(client: NdmpClient, password: bytes | None) -> None:
    await client.open()
    if password is None:
        await client.authenticate(AuthType.NONE)
    else:
        await client.authenticate(AuthType.MD5, "ndmp", password)


@pytest.mark.parametrize(
    "name",
    [
        *("admin", "auth", "cae", "dump_native", "eventlog"),
        *("snap_copy", "state_sqlite", "transport_tls"),
    ],
)
async def test_backup_and_restore_go_on_without(tmp_path: Path, name: str) -> None:
    directory = tmp_path / "site"
    kernel = new_site(directory, without(name))
    assert name not in kernel.plugin_names
    async with serving(directory, kernel) as stack, stack.stranger() as client:
        (stack.volume / "file").write_bytes(b"content" * 1000)
        await logged_in(client, None if name == "auth" else stack.password)
        backup = await back_up(client, BackupPlan(tape=TapeAt("nrst0a"), environment=ENVIRONMENT))
        names = (m.Name(original_path="", destination_path=f"{VOLUME}/back"),)
        restore = RecoverPlan(parts=backup.parts, environment=backup.environment, names=names)
        await recover(client, restore)
        assert (stack.volume / "back" / "file").read_bytes() == b"content" * 1000


@pytest.mark.parametrize(
    ("names", "request_", "error"),
    [
        (
            ("mover",),
            m.MoverListenRequest(mode=0, addr_type=AddrType.TCP),
            NdmpError.NOT_SUPPORTED_ERR,
        ),
        (
            ("tape_devices", "vtape"),
            m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.READ),
            NdmpError.NO_DEVICE_ERR,
        ),
        (
            ("vtape",),
            m.TapeOpenRequest(device="nrst0a", mode=TapeOpenMode.READ),
            NdmpError.NO_DEVICE_ERR,
        ),
    ],
    ids=["mover", "tape_devices", "vtape"],
)
async def test_what_needs_a_plugin_is_refused_without_it(
    tmp_path: Path, names: tuple[str, ...], request_: m.Message, error: NdmpError
) -> None:
    directory = tmp_path / "site"
    async with (
        serving(directory, new_site(directory, without(*names))) as stack,
        stack.client() as client,
    ):
        with pytest.raises(NdmpReplyError) as caught:
            await client.call(request_)
        assert caught.value.code == error
        assert (await client.call(m.ConfigGetButypeInfoRequest())).butype_info[0].butype_name


@pytest.mark.parametrize(
    "names", [("dump", "dump_native"), ("volumes", "snap_copy")], ids=["dump", "volumes"]
)
async def test_a_backup_without_engine_or_volumes_is_refused(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    directory = tmp_path / "site"
    async with (
        serving(directory, new_site(directory, without(*names))) as stack,
        stack.client() as client,
    ):
        with pytest.raises(NdmpReplyError) as caught:
            await back_up(client, BackupPlan(tape=TapeAt("nrst0a"), environment=ENVIRONMENT))
        assert caught.value.code == NdmpError.ILLEGAL_ARGS_ERR
        devices = (await client.call(m.ConfigGetTapeInfoRequest())).tape_info
        assert [len(drive.caplist) for drive in devices] == [12, 12]


def test_a_required_plugin_cannot_be_left_out(tmp_path: Path) -> None:
    with pytest.raises(StartErrors) as caught:
        new_site(tmp_path / "site", without("volumes"))
    assert [error.id for error in caught.value.errors] == ["core.missing-requirement"]
