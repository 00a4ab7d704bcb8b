"""What the server says of its machine and itself (NDMP v4, CONFIG)."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["HostFacts", "memory_bytes", "read_host_facts"]

_MACHINE_ID: Final = Path("/etc/machine-id")


class HostFacts(NamedTuple):
    """Texts of CONFIG_GET_HOST_INFO and CONFIG_GET_SERVER_INFO."""

    os_type: str
    os_version: str
    host_id: str
    vendor: str
    product: str
    revision: str


def read_host_facts(vendor: str, product: str) -> HostFacts:
    """Ask the machine once."""
    system = platform.uname()
    host_id = _MACHINE_ID.read_text("ascii").strip() if _MACHINE_ID.is_file() else system.node
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
