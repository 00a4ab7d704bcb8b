"""What an administrator can ask of the libraries of a running stack."""

from __future__ import annotations

from typing import Final

import msgspec

from tapekit.hookspecs.operations import Operation

__all__ = [
    "LIBRARY",
    "LIBRARY_EXPORT",
    "LIBRARY_IMPORT",
    "LIBRARY_MOVE",
    "LIBRARY_UNLOAD",
    "CartridgeRequest",
    "DriveToUnload",
    "LibraryChoice",
    "LibraryReply",
    "Move",
    "MoveRequest",
    "MovesReply",
    "Place",
]


class LibraryChoice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which library is meant."""

    changer: str = "mc0"
    """The device name of its changer."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """One place of a library."""

    name: str
    """Such as ``slot 3``."""
    address: int
    """Element address."""
    is_full: bool
    cartridge: str | None
    """Its barcode, if it can be read."""
    source: str | None
    """Where the cartridge of a drive came from."""
    is_accessible: bool
    """Whether the robot can reach it."""
    was_imported: bool
    device: str | None
    """For a drive of this stack: its logical name."""


class LibraryReply(msgspec.Struct, frozen=True, kw_only=True):
    """A library, as its changer tells it."""

    changer: str
    places: tuple[Place, ...]


class MoveRequest(LibraryChoice, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A cartridge that is to go somewhere."""

    source: str
    """A place, or a barcode."""
    destination: str
    """A place."""


class DriveToUnload(LibraryChoice, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A drive whose cartridge is to go to a slot."""

    drive: int
    """Its number in the library, from 0."""


class CartridgeRequest(LibraryChoice, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A cartridge that comes or goes through the mail slots."""

    cartridge: str | None = None
    """Its barcode or place; without it all that are in the mail slots."""


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """A cartridge that has been moved."""

    cartridge: str | None
    source: str
    destination: str


class MovesReply(msgspec.Struct, frozen=True, kw_only=True):
    """What has been moved, in its order."""

    moves: tuple[Move, ...]


LIBRARY: Final = Operation(
    name="tape_devices.library",
    summary="Show the places of a library and what is in them",
    request=LibraryChoice,
    reply=LibraryReply,
)
LIBRARY_MOVE: Final = Operation(
    name="tape_devices.library-move",
    summary="Move a cartridge of a library",
    request=MoveRequest,
    reply=MovesReply,
)
LIBRARY_UNLOAD: Final = Operation(
    name="tape_devices.library-unload",
    summary="Unload a drive of a library and put its cartridge into a slot",
    request=DriveToUnload,
    reply=MovesReply,
)
LIBRARY_IMPORT: Final = Operation(
    name="tape_devices.library-import",
    summary="Take cartridges from the mail slots into the library",
    request=CartridgeRequest,
    reply=MovesReply,
)
LIBRARY_EXPORT: Final = Operation(
    name="tape_devices.library-export",
    summary="Put a cartridge into a mail slot",
    request=CartridgeRequest,
    reply=MovesReply,
)
