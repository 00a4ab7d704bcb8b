"""A backup application reaches drives by their aliases, and qualified ones only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from administrator import asked
from memory_devices import MemoryDevices
from session_stack import clock, new_site, serving
from tapekit.hookspecs.operations import NoRequest
from tapekit.kernel import assemble, installed
from tapekit_aliases import operations as ops
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import AuthType, NdmpError, TapeOpenMode
from tapekit_qualification.operations import DRIVES

if TYPE_CHECKING:
    from pathlib import Path

    from session_stack import ServedStack
    from tapekit_ndmp_v4.client import NdmpClient

DOORS = """\
plugins = ["doors", "mover", "ndmp_v4", "qualification", "tape_devices", "transport_tcp"]

[transport_tcp]
listen = ["127.0.0.1:0"]
"""
"""A stack whose drives nobody has qualified."""


def with_plugins(text: str) -> str:
    """A stack file that enables both plugins besides those of a new site."""
    return text.replace("plugins = [\n", 'plugins = [\n    "aliases",\n    "qualification",\n')


async def devices(client: NdmpClient) -> list[str]:
    """The names that a client is told of."""
    reply = await client.call(m.ConfigGetTapeInfoRequest())
    return [one.device for info in reply.tape_info for one in info.caplist]


async def refusal(client: NdmpClient, device: str) -> int:
    with pytest.raises(NdmpReplyError) as caught:
        await client.call(m.TapeOpenRequest(device=device, mode=TapeOpenMode.READ))
    return caught.value.code


async def opened(client: NdmpClient, device: str) -> None:
    await client.call(m.TapeOpenRequest(device=device, mode=TapeOpenMode.READ))
    await client.call(m.TapeCloseRequest())


async def serial(stack: ServedStack) -> str:
    statuses = await asked(stack, DRIVES, NoRequest())
    assert {row.status for row in statuses.drives} == {"Qualified"}
    return statuses.drives[0].serial


@pytest.mark.requirement("R027")
@pytest.mark.requirement("R070")
async def test_a_client_sees_aliases_change_and_return_after_a_restart(tmp_path: Path) -> None:
    site = tmp_path / "site"
    async with serving(site, new_site(site, with_plugins)) as stack, stack.client() as client:
        assert "nrst0a" in await devices(client)
        await opened(client, "nrst0a")
        await asked(stack, ops.CLEAR, ops.ClearRequest(scope=ops.Scope.TAPE))
        assert await devices(client) == []
        assert await refusal(client, "nrst0a") == NdmpError.NO_DEVICE_ERR
        mapping = f"SN[{await serial(stack)}]"
        await asked(stack, ops.SET, ops.SetRequest(alias="st03", mapping=mapping))
        assert await devices(client) == [
            f"{rewind}st03{letter}" for letter in "lmha" for rewind in ("r", "nr", "ur")
        ]
        await opened(client, "nrst03a")
        assert await refusal(client, "nrst3a") == NdmpError.NO_DEVICE_ERR
    kernel = assemble(site / "tapekit.toml", installed(), clock=clock)
    async with serving(site, kernel) as stack, stack.client() as client:
        await opened(client, "nrst03a")
        assert await refusal(client, "nrst0a") == NdmpError.NO_DEVICE_ERR


@pytest.mark.requirement("R054")
async def test_a_client_is_told_that_a_drive_is_nonqualified(tmp_path: Path) -> None:
    file = tmp_path / "tapekit.toml"
    file.write_text(DOORS)
    kernel = assemble(file, [*installed(), MemoryDevices().available()], clock=clock)
    async with serving(tmp_path, kernel) as stack, stack.stranger() as client:
        told: list[m.LogMessagePost] = []
        client.on_post(m.LogMessagePost, told.append)
        await client.open()
        await client.authenticate(AuthType.NONE)
        assert await refusal(client, "nrst0a") == NdmpError.NO_DEVICE_ERR
    (post,) = (one for one in told if "qualif" in one.entry)
    assert "d.drive0 (EXAMPLE DOORS) is a Nonqualified tape drive and is not used" in post.entry
    assert 'vendor_id="EXAMPLE"' in post.entry
