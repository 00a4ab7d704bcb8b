"""What an administrator may set: servers, media sets and jobs, each by its name.

Everything a run needs stands in the stack file, apart from passwords, which
have files of their own. The one rule: a name that a table mentions is
checked when the stack is assembled, not in the middle of the night.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal, TypeAlias, final

import msgspec

from tapekit_dma.errors import CATALOGUE

__all__ = [
    "DmaSettings",
    "JobSettings",
    "MediaSetSettings",
    "ServerSettings",
    "listed",
    "require_names",
]

_Name: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
_MIB: Final = 1 << 20


@final
class ServerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An NDMP server."""

    host: str
    """Name or address of the server."""

    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    """Port of the control connection; 0 is 10000, or 30000 with TLS."""

    user: str = ""
    """Who logs in; without one nobody does (method none)."""

    password_file: str = ""
    """File whose first line is the password; only its owner may read it."""

    auth: Literal["md5", "text"] = "md5"
    """How to log in: by challenge (md5), or with the password as it is (text)."""

    tls: str = ""
    """Makes the control connection a secure one: the SHA-256 fingerprint of the server's
    certificate, or a file of certificates to trust."""


@final
class MediaSetSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Cartridges that belong together, and the library they are in."""

    server: str
    """Name of the server that the library is attached to."""

    robot: str = "mc0"
    """The library's changer, as the server names it."""

    drive: str = "nrst0a"
    """The drive, as the server names it; one that does not rewind by itself."""

    drive_number: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    """Which of the library's drives that is, counted from 0 by element address."""

    barcodes: tuple[str, ...]
    """Patterns of the barcodes of the set's cartridges, such as "WK*"."""

    labels_blank: bool = True
    """Whether blank cartridges are labelled when one is needed; else by hand."""

    retention_days: Annotated[int, msgspec.Meta(ge=0, le=36500)] = 30
    """How many days a backup is kept."""

    retention_copies: Annotated[int, msgspec.Meta(ge=0, le=10000)] = 1
    """How many full backups of a path are kept, however old they are, with what builds on them."""

    record_size: Annotated[int, msgspec.Meta(ge=1024, le=_MIB)] = 65536
    """Bytes of a record on tape."""


@final
class JobSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Something that is backed up again and again."""

    server: str
    """Name of the server that has the data."""

    path: str
    """What is backed up, such as "/vs1/vol1"."""

    media_set: str
    """Name of the media set that it goes to."""

    butype: str = "dump"
    """The kind of backup: dump, smtape, or what else the server offers."""

    variables: Mapping[str, str] = {}
    """More environment variables for the data server, such as EXCLUDE."""


@final
class DmaSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The tables of ``[dma]``."""

    directory: str = "catalogue"
    """Folder of the catalogue, relative to the stack file's folder."""

    servers: Mapping[_Name, ServerSettings] = {}
    """NDMP servers, a table each: [dma.servers.NAME]."""

    media_sets: Mapping[_Name, MediaSetSettings] = {}
    """Media sets, a table each: [dma.media_sets.NAME]."""

    jobs: Mapping[_Name, JobSettings] = {}
    """Jobs, a table each: [dma.jobs.NAME]."""


def require_names(settings: DmaSettings) -> None:
    """Check that every name leads to a table.

    :raises TapekitError: one does not.
    """
    wanted: list[tuple[str, str, str, Mapping[str, object]]] = [
        (f"media_sets.{name}", "server", media_set.server, settings.servers)
        for name, media_set in settings.media_sets.items()
    ]
    for name, job in settings.jobs.items():
        wanted.append((f"jobs.{name}", "server", job.server, settings.servers))
        wanted.append((f"jobs.{name}", "media_set", job.media_set, settings.media_sets))
    for table, key, value, known in wanted:
        if value not in known:
            raise CATALOGUE.error(
                "unknown-name", table=table, key=key, name=value, known=listed(known)
            )


def listed(names: Mapping[str, object]) -> str:
    """Names for a message."""
    return ", ".join(sorted(names)) or "none"
