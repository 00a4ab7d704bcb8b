"""What the server says of its machine and itself (NDMP v4, CONFIG)."""

from __future__ import annotations

import os
import platform
import uuid
from importlib import metadata
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from tapekit.hookspecs.state import StateStore

__all__ = ["HostFacts", "memory_bytes", "own_host_id", "read_host_facts"]

_NAMESPACE: Final = "ndmp_v4.host"
_HOST_ID: Final = "id"


class HostFacts(NamedTuple):
    """Texts of CONFIG_GET_HOST_INFO and CONFIG_GET_SERVER_INFO."""

    os_type: str
    os_version: str
    host_id: str
    vendor: str
    product: str
    revision: str


def own_host_id(state: StateStore) -> str:
    """The identity of this stack, made at its first start; blocks.

    Clients tell by it whether two addresses lead to one server, which the
    machine's own identity would not: a machine may run several stacks.

    :raises TapekitError: the state cannot be read or written.
    """
    kept = state.get(_NAMESPACE, _HOST_ID)
    if kept is not None:
        return kept.decode("ascii")
    made = uuid.uuid4().hex
    state.change(_NAMESPACE, {_HOST_ID: made.encode("ascii")})
    return made


def read_host_facts(vendor: str, product: str, host_id: str) -> HostFacts:
    """Ask the machine once.

    :param host_id: see :func:`own_host_id`.
    """
    system = platform.uname()
    return HostFacts(
        os_type=system.system,
        os_version=system.release,
        host_id=host_id,
        vendor=vendor,
        product=product,
        revision=metadata.version("tapekit"),
    )


def memory_bytes() -> int:
    """Physical memory of the machine, by which sessions are limited."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
