"""What an administrator can ask of paths in a running stack."""

from __future__ import annotations

from typing import Final

import msgspec

from tapekit.hookspecs.operations import NoRequest, Operation

__all__ = ["SHOW", "LunGroup", "PathRow", "Paths"]


class PathRow(msgspec.Struct, frozen=True, kw_only=True):
    """One path to one drive or changer."""

    device_id: str
    """The physical path name that this path gives the device."""
    ndmp_path: str
    """What a backup application opens; empty if no name leads there."""
    library_name: str
    """The library that the device is in; empty for one that stands alone."""
    initiator: str
    target_port: str
    lun: int
    is_multipath: bool
    """Whether the device has another path besides."""
    path_errors: int
    """How often the path has failed."""
    path_qual: str
    """``working``, ``failed``, or why it is not used."""
    lun_group: int


class LunGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The logical units that share their paths."""

    number: int
    lun_count: int
    library_name: str
    target_ports: tuple[str, ...]
    initiators: tuple[str, ...]


class Paths(msgspec.Struct, frozen=True, kw_only=True):
    """The paths of a node to libraries and drives."""

    node: str
    is_balanced: bool
    paths: tuple[PathRow, ...]
    groups: tuple[LunGroup, ...]


SHOW: Final = Operation(
    name="multipath.paths",
    summary="List the paths to tape libraries and drives",
    request=NoRequest,
    reply=Paths,
)
