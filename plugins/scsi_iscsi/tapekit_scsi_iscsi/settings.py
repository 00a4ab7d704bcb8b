"""What an administrator may set for iSCSI targets, and how a target is written.

A target is one text, ``iscsi://HOST[:PORT]/NAME``, as other initiators write
it too, and a portal ``HOST[:PORT]``. The one rule: what is wrong with a text is
said when the stack file is read, and nothing is looked up for it.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, NamedTuple

from msgspec import Meta, Struct

__all__ = ["DEFAULT_PORT", "ScsiIscsiSettings", "Target", "parse_portal", "parse_target"]

DEFAULT_PORT: Final = 3260
"""The port of the service iscsi-target (IANA)."""

_LAST_PORT: Final = 65535
_NAME: Final = r"(?:iqn\.[0-9]{4}-[0-9]{2}\.|eui\.|naa\.)[A-Za-z0-9.:_-]+"
_LONGEST_NAME: Final = 223
_INITIATOR: Final = re.compile(_NAME, re.ASCII)
_HOST_AND_PORT: Final = r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?"
_PORTAL: Final = re.compile(_HOST_AND_PORT, re.ASCII)
_TARGET: Final = re.compile(rf"iscsi://{_HOST_AND_PORT}/(?P<name>{_NAME})", re.ASCII)


class Target(NamedTuple):
    """Where a target is, and its name."""

    portal: str
    """``HOST:PORT``, the host of IPv6 in brackets."""
    name: str
    """The iSCSI name, such as ``iqn.2026-11.net.example:library``."""


class ScsiIscsiSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table ``[scsi_iscsi]`` of a stack file."""

    initiator: str
    """The iSCSI name of this host, which targets know it by; on Debian that of
    /etc/iscsi/initiatorname.iscsi."""

    targets: tuple[str, ...] = ()
    """Targets with drives or changers, as iscsi://HOST[:PORT]/NAME. Their order
    is that of the drives' numbers, so put new ones at the end."""

    portals: tuple[str, ...] = ()
    """Portals that are asked for their targets, as HOST[:PORT]; all of those are
    used, behind the ones in targets."""

    credentials: str | None = None
    """File with user names and passwords (CHAP) of targets and portals that ask
    for them, relative to the stack file's folder; readable by its owner alone."""

    login_timeout_s: Annotated[int, Meta(ge=1, le=600)] = 15
    """Seconds within which a target must answer a login."""

    look_every_s: Annotated[int, Meta(ge=0, le=86400)] = 60
    """Seconds between two looks at the targets while the stack runs: for logical
    units that have come or gone, and for portals that fall silent or answer
    again; 0 looks only when the stack starts."""

    def __post_init__(self) -> None:
        """Refuse names, targets and portals that cannot be."""
        if not _INITIATOR.fullmatch(self.initiator) or len(self.initiator) > _LONGEST_NAME:
            raise ValueError(
                f"initiator ({self.initiator}) is no iSCSI name, such as "
                "iqn.2026-11.net.example:storage1"
            )
        found = [parse_target(text) for text in self.targets]
        for number, target in enumerate(found):
            if target in found[:number]:
                raise ValueError(f"targets: {self.targets[number]} is there twice")
        portals = [parse_portal(text) for text in self.portals]
        for number, portal in enumerate(portals):
            if portal in portals[:number]:
                raise ValueError(f"portals: {self.portals[number]} is there twice")
        if not found and not portals:
            raise ValueError("targets and portals are empty; one of them must name a library")


def parse_target(text: str) -> Target:
    """Take a target's text apart.

    :raises ValueError: it is none.
    """
    match = _TARGET.fullmatch(text)
    if match is None or len(match["name"]) > _LONGEST_NAME:
        raise ValueError(f"targets: {text} is no target, such as iscsi://10.0.0.7/iqn.2026-11.x:y")
    return Target(_portal(match, text, "targets"), match["name"])


def parse_portal(text: str) -> str:
    """A portal's text with its port, as ``HOST:PORT``.

    :raises ValueError: it is none.
    """
    match = _PORTAL.fullmatch(text)
    if match is None:
        raise ValueError(f"portals: {text} is no portal, such as 10.0.0.7 or 10.0.0.7:3260")
    return _portal(match, text, "portals")


def _portal(match: re.Match[str], text: str, setting: str) -> str:
    port = int(match["port"] or DEFAULT_PORT)
    if not 0 < port <= _LAST_PORT:
        raise ValueError(f"{setting}: {text} has no port from 1 to {_LAST_PORT}")
    return f"{match['host']}:{port}"
