"""The other nodes of a cluster: where they are, and how devices name them.

A drive of another node is called by the node's name and its own, with a
colon between, such as ``node2:nrst0a``. The one rule: what stands for a place
(the affinity) says which things are together and nothing else.
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING, Final, NamedTuple, final

import msgspec

from tapekit_cab.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tapekit_cab.settings import CabSettings

__all__ = ["Node", "RemoteDevice", "affinity", "nodes_of", "password_of"]

_AFFINITY_DIGITS: Final = 16
_FOR_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_LONGEST_BYTES: Final = 4096


@final
class Node(msgspec.Struct, frozen=True):
    """Another node, and the account of this one there."""

    name: str
    host: str
    port: int
    user: str
    password_file: str

    @property
    def address(self) -> str:
        """As messages name it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class RemoteDevice(NamedTuple):
    """A device of another node."""

    node: Node
    device: str
    """What the node itself calls it."""


def nodes_of(settings: CabSettings) -> Mapping[str, Node]:
    """The nodes of a stack file by name.

    :raises TapekitError: ``cab.bad-node``.
    """
    nodes: dict[str, Node] = {}
    for one in settings.node:
        host, colon, port = one.address.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not (colon and host and port.isdecimal() and 0 < int(port) < 1 << 16):
            reason = f"{one.address!r} is not of the form HOST:PORT"
            raise CATALOGUE.error("bad-node", node=one.name, reason=reason)
        if one.name in nodes:
            raise CATALOGUE.error("bad-node", node=one.name, reason="there are two of this name")
        nodes[one.name] = Node(one.name, host, int(port), one.user, one.password_file)
    return nodes


def affinity(node_name: str) -> str:
    """What stands for a node where backup applications compare places."""
    return hashlib.sha256(node_name.encode()).hexdigest()[:_AFFINITY_DIGITS]


def password_of(node: Node, folder: Path) -> bytes:
    """The password of the account there; blocks.

    :raises TapekitError: ``cab.password-unreadable``.
    """
    file = folder / node.password_file
    try:
        # A pipe in the file's place would otherwise be waited for.
        opened = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            # What is judged is what is read, whoever renames files meanwhile.
            if os.fstat(opened).st_mode & _FOR_OTHERS:
                reason = "others than its owner may use it"
                raise CATALOGUE.error(
                    "password-unreadable", node=node.name, file=file, reason=reason
                )
            return os.read(opened, _LONGEST_BYTES).strip()
        finally:
            os.close(opened)
    except OSError as error:
        raise CATALOGUE.error(
            "password-unreadable", node=node.name, file=file, reason=error.strerror or error
        ) from error
