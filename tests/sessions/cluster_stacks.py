"""Clusters in the test's own process: a stack for each node, each on an
address of loopback of its own.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from session_stack import clock, new_site, serving
from tapekit_ndmp_v4.client import CAB, CAE, NdmpClient, choose_extensions
from tapekit_ndmp_v4.numbers import AuthType

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from session_stack import ServedStack
    from tapekit.kernel import StackKernel

HERE, THERE = "127.0.0.1", "127.0.0.2"


def with_cab(text: str) -> str:
    """An edit of a stack file that adds the plugin."""
    return text.replace('    "cae",\n', '    "cae",\n    "cab",\n')


def second_node(directory: Path, edit: Callable[[str], str] = str) -> StackKernel:
    """A node ``node2`` with the volume /vs1/vol2."""

    def edited(text: str) -> str:
        text = text.replace('path = "/vs1/vol1"', 'path = "/vs1/vol2"')
        text = text.replace(f'"{HERE}:0"', f'"{THERE}:0"')
        return edit('node = "node2"\n' + with_cab(text))

    return new_site(directory, edited)


def first_node(
    directory: Path, second: ServedStack, edit: Callable[[str], str] = str
) -> StackKernel:
    """A node ``node1`` with the volume /vs1/vol1, which knows the second."""

    def edited(text: str) -> str:
        password = directory / "node2-password"
        password.touch(0o600)
        password.write_bytes(second.password)
        node = (
            "\n[[cab.node]]\n"
            'name = "node2"\n'
            f'address = "{THERE}:{second.port}"\n'
            'user = "ndmp"\n'
            'password_file = "node2-password"\n'
        )
        return edit('node = "node1"\n' + with_cab(text) + node)

    return new_site(directory, edited)


@asynccontextmanager
async def two_nodes(
    directory: Path, edit: Callable[[str], str] = str
) -> AsyncIterator[tuple[ServedStack, ServedStack]]:
    """Both nodes, served; ``edit`` is for the first one's stack file."""
    one, two = directory / "node1", directory / "node2"
    async with (
        serving(two, second_node(two)) as second,
        serving(one, first_node(one, second, edit)) as first,
    ):
        yield first, second


@asynccontextmanager
async def cluster_client(stack: ServedStack, host: str = HERE) -> AsyncIterator[NdmpClient]:
    """A session that has chosen the class."""
    async with NdmpClient.connect(host, stack.port, clock=clock) as client:
        await client.open()
        await client.authenticate(AuthType.MD5, "ndmp", stack.password)
        assert set(await choose_extensions(client, {**CAB, **CAE})) == {0x2051, 0x2052}
        yield client
