"""Stacks with the plugin ``cluster``: several LIFs on addresses of loopback."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from session_stack import clock
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import NdmpClient
from tapekit_ndmp_v4.numbers import AuthType

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from session_stack import ServedStack

LIFS = {
    "node-mgmt": "127.0.0.11",
    "cluster-mgmt": "127.0.0.12",
    "intercluster": "127.0.0.13",
    "data": "127.0.0.14",
}
"""One LIF of each role, called as its role."""
OWN, OTHER = "/vs1/vol1", "/vs2/vol1"
SVM_PASSWORD = "of vs1 alone"


def scoped(text: str) -> str:
    """An edit of a stack file that adds the plugin, without LIFs."""
    return text.replace('    "cae",\n', '    "cae",\n    "cluster",\n')


def with_lifs(directory: Path, more: str = "") -> Callable[[str], str]:
    """An edit that adds the LIFs, a second SVM, and a user ``anna`` of vs1.

    :param more: lines of the table ``[cluster]``.
    """

    def edit(text: str) -> str:
        (directory / "other").mkdir(parents=True)
        password = directory / "anna-password"
        password.touch(0o600)
        password.write_text(SVM_PASSWORD)
        user = (
            '{ name = "anna", password_file = "anna-password",'
            ' roles = ["vsadmin"], svms = ["vs1"] }'
        )
        text = text.replace(
            'password_file = "ndmp-password" }', f'password_file = "ndmp-password" }}, {user}'
        )
        text = text.replace('listen = ["127.0.0.1:0"]', 'listen = ["0.0.0.0:0"]')
        text = text.replace('snapshots = "copy"', 'snapshots = "none"')
        volume = f'path = "{OTHER}"\ndirectory = "other"\nsnapshots = "none"\n'
        text = f"{scoped(text)}\n[[volumes.volume]]\n{volume}\n[cluster]\n{more}\n"
        for role, address in LIFS.items():
            text += (
                f'[[cluster.lif]]\nname = "{role}"\nrole = "{role}"\naddresses = ["{address}"]\n'
            )
            text += 'svm = "vs1"\n' if role == "data" else ""
        return text

    return edit


@asynccontextmanager
async def on_lif(stack: ServedStack, role: str) -> AsyncIterator[NdmpClient]:
    """A session on the LIF of a role, nobody logged in."""
    async with NdmpClient.connect(LIFS[role], stack.port, clock=clock) as client:
        await client.open()
        yield client


async def log_in(client: NdmpClient, stack: ServedStack, role: str) -> None:
    """Log in as whoever may on the LIF of a role."""
    if role == "data":
        await client.authenticate(AuthType.MD5, "anna", SVM_PASSWORD.encode())
    else:
        await client.authenticate(AuthType.MD5, "ndmp", stack.password)


async def volumes_of(client: NdmpClient) -> set[str]:
    """The volumes that a session sees."""
    rows = (await client.call(m.ConfigGetFsInfoRequest())).fs_info
    return {row.fs_logical_device for row in rows}


async def devices_of(client: NdmpClient) -> set[str]:
    """The tape devices that a session sees."""
    drives = (await client.call(m.ConfigGetTapeInfoRequest())).tape_info
    changers = (await client.call(m.ConfigGetScsiInfoRequest())).scsi_info
    return {one.device for row in (*drives, *changers) for one in row.caplist}
