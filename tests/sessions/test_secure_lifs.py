"""Secure control connections lead no further than their LIF."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from administrator import asked, typed
from lif_stacks import LIFS, OTHER, OWN, devices_of, log_in, volumes_of, with_lifs
from session_stack import clock, new_site, serving
from tapekit.errors import TapekitError
from tapekit.hookspecs.operations import NoRequest
from tapekit_ndmp_v4 import operations as ops
from tapekit_ndmp_v4.client import NdmpClient, ServerTrust
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import AuthType, NdmpError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from session_stack import ServedStack

SECURE = "vserver services ndmp modify -is-secure-control-connection-enabled true -vserver"
UNVERIFIED = ServerTrust(unverified=True)


@asynccontextmanager
async def secured(tmp_path: Path, *svms: str) -> AsyncIterator[tuple[ServedStack, int]]:
    """A node with a LIF of each role, and the port of the secure service,
    which is on for some storage virtual machines.
    """
    directory = tmp_path / "node"

    def edit(text: str) -> str:
        return with_lifs(directory)(text).replace('"127.0.0.1:30000"', '"0.0.0.0:0"')

    async with serving(directory, new_site(directory, edit)) as stack:
        for svm in svms:
            assert (await typed(stack, f"{SECURE} {svm}")).status == 0
        addresses = (await asked(stack, ops.SERVICE, NoRequest())).addresses
        ports = {int(address.rpartition(":")[2]) for address in addresses}
        (port,) = ports - {stack.port}
        yield stack, port


@asynccontextmanager
async def session(role: str, port: int) -> AsyncIterator[NdmpClient]:
    host = LIFS.get(role, role)
    async with NdmpClient.connect(host, port, clock=clock, tls=UNVERIFIED) as client:
        await client.open()
        yield client


async def test_a_session_sees_what_its_lif_shows(tmp_path: Path) -> None:
    async with secured(tmp_path, "vs1", "vs2") as (stack, port):
        async with session("data", port) as client:
            with pytest.raises(NdmpReplyError) as refused:
                await client.authenticate(AuthType.MD5, "ndmp", stack.password)
            assert refused.value.code == NdmpError.NOT_AUTHORIZED_ERR
            await log_in(client, stack, "data")
            assert await volumes_of(client) == {OWN}
            assert await devices_of(client) == set()
        async with session("node-mgmt", port) as client:
            await log_in(client, stack, "node-mgmt")
            assert await volumes_of(client) == {OWN, OTHER}
        with pytest.raises(TapekitError, match="no LIF has the address"):
            async with session("127.0.0.99", port):
                raise AssertionError("nobody is let in there")


async def test_a_lif_of_one_svm_and_the_secure_service_of_another_lead_nowhere(
    tmp_path: Path,
) -> None:
    async with secured(tmp_path, "vs2") as (stack, port):
        async with session("data", port) as client:
            with pytest.raises(NdmpReplyError) as refused:
                await log_in(client, stack, "data")
            assert refused.value.code == NdmpError.NOT_AUTHORIZED_ERR
        async with session("node-mgmt", port) as client:
            await log_in(client, stack, "node-mgmt")
            assert await volumes_of(client) == {OTHER}
