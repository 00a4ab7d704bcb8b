"""A three-way backup over IPv6 between processes, as Wireshark reads it.

The dissector does not know the extension class 0x2051, and takes an address
of type TCP_IPV6 for the end of the message; everything else it must read.
"""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING

import pytest

from captures import DOUBTFUL, NDMP_PORT, capturing, dissection_of, packets_in
from interop_peers import need
from running_stack import served
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import (
    CAE,
    BackupPlan,
    Connecting,
    NdmpClient,
    RecoverPlan,
    TapeAt,
    back_up,
    choose_extensions,
    recover,
)
from tapekit_ndmp_v4.numbers import AddrType, AuthType
from tapekit_trees.comparing import compare_trees
from tapekit_trees.making import make_tree

if TYPE_CHECKING:
    from pathlib import Path

    from running_stack import Stack


def is_free(port: int) -> bool:
    """Whether somebody could listen on this port of IPv6 loopback."""
    try:
        with socket.create_server(("::1", port), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.requirement("R168")
@pytest.mark.skipif(os.geteuid() != 0, reason="capturing needs root")
@pytest.mark.skipif(not is_free(0), reason="this machine has no IPv6 loopback")
async def test_a_three_way_backup_over_ipv6(tmp_path: Path) -> None:
    need("tshark")
    if not is_free(NDMP_PORT):
        pytest.skip(f"port {NDMP_PORT} of ::1 is in use, and the dissector knows no other")
    with served(tmp_path / "stack", "::1", NDMP_PORT) as stack:
        make_tree(stack.volume, files=30, seed=2, wide=50, deep=5, far=1 << 20)
        file = tmp_path / "capture.pcapng"
        with capturing(stack, file):
            await back_up_and_restore(stack)
        (stack.volume / "back").rename(tmp_path / "kept")
        found = compare_trees(stack.volume, tmp_path / "kept")
    assert [str(each) for each in found if each.path != "."] == []
    dissection = dissection_of(file)
    for message in ("CONFIG_SET_EXT_LIST", "MOVER_LISTEN", "DATA_CONNECT", "NOTIFY_DATA_HALTED"):
        assert message in dissection, message
    assert packets_in(file, DOUBTFUL) == []


async def back_up_and_restore(stack: Stack) -> None:
    connecting = Connecting(kind=AddrType.TCP_IPV6)
    async with (
        NdmpClient.connect("::1", stack.port, clock=time.time) as data,
        NdmpClient.connect("::1", stack.port, clock=time.time) as tape,
    ):
        for client in (data, tape):
            await client.open()
            await client.authenticate(AuthType.MD5, "ndmp", stack.password.encode())
            assert await choose_extensions(client, CAE) == {0x2051: 1}
        plan = BackupPlan(
            tape=TapeAt("nrst0a"),
            environment=(("FILESYSTEM", "/vs1/vol1"), ("HIST", "Y")),
            connecting=connecting,
        )
        backup = await back_up(data, plan, tape=tape)
        names = (m.Name(original_path="", destination_path="/vs1/vol1/back"),)
        restore = RecoverPlan(
            parts=backup.parts,
            environment=backup.environment,
            names=names,
            connecting=connecting,
        )
        await recover(data, restore, tape=tape)
