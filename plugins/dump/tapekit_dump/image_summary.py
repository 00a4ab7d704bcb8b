"""What an image is and what is in it, in a few lines.

The first header tells the form and the dump, a pass through all the rest
the counts. The one rule: nothing is called complete that was not read to
its END header.
"""

from __future__ import annotations

import stat
from collections import Counter
from typing import TYPE_CHECKING, Final, final

import msgspec

from tapekit_dump.backup_report import readable
from tapekit_dump.headers import UFS2_MAGIC
from tapekit_dump.image_attributes import PLAIN, attribute_kinds
from tapekit_dump.image_listing import kind_of, time_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapekit_dump.headers import Header
    from tapekit_dump.image_walk import ImageWalk, Member
    from tapekit_dump.recover_findings import Findings

__all__ = ["ImageSummary", "Tally", "summarize_image", "summary_lines"]

_ORDERS: Final = {"<": "little-endian", ">": "big-endian"}


class ImageSummary(msgspec.Struct, frozen=True, kw_only=True):
    """An image as ``tapekit dump info --json`` prints it."""

    image: str
    form: str
    byte_order: str
    compressed: bool
    """Whether the dump program compressed its blocks."""
    level: int
    date_s: int
    """When the dump was taken, seconds since 1970."""
    base_date_s: int | None
    """The date of the dump that this one builds on."""
    host: str
    filesystem: str
    device: str
    label: str
    volume: int
    """The number of the tape that the image begins with."""
    records_per_block: int
    """Blocking in records of 1,024 bytes; 0 if the headers do not tell."""
    counts: dict[str, int]
    """Names by what they stand for; hard links are those beyond the first."""
    attributes: dict[str, int]
    """ACLs, NT streams and other extended attributes by what they are."""
    content_bytes: int
    """Sizes of all files together."""
    stream_bytes: int
    """Bytes of the dump up to its end."""
    complete: bool
    losses: int
    damages: int


@final
class Tally:
    """Counts members."""

    def __init__(self) -> None:
        self.counts: Final[Counter[str]] = Counter()
        self.attributes: Final[Counter[str]] = Counter()
        self.content_bytes = 0

    def count(self, member: Member) -> None:
        """Count one."""
        if member.first_name is not None:
            self.counts["hard link"] += 1
            return
        self.counts[kind_of(member.attributes.mode)] += 1
        if member.extended is not PLAIN:
            self.attributes.update(dict(attribute_kinds(member.extended)))
        if stat.S_ISREG(member.attributes.mode):
            self.content_bytes += member.size


def summarize_image(
    image: str, walk: ImageWalk, tally: Tally, findings: Findings, *, compressed: bool
) -> ImageSummary:
    """The summary of an image that has been walked through."""
    first = walk.first
    return ImageSummary(
        image=image,
        form=_form(first, is_old=walk.old_format),
        byte_order=_ORDERS[first.byte_order],
        compressed=compressed,
        level=first.level,
        date_s=first.date,
        base_date_s=first.base_date or None,
        host=readable(first.host) if first.host else "",
        filesystem=readable(first.filesystem) if first.filesystem else "",
        device=readable(first.device_name) if first.device_name else "",
        label=readable(first.label) if first.label else "",
        volume=first.volume,
        records_per_block=first.records_per_block,
        counts=dict(sorted(tally.counts.items())),
        attributes={kind: count for kind, count in tally.attributes.items() if count},
        content_bytes=tally.content_bytes,
        stream_bytes=walk.position,
        complete=not (findings.losses or findings.damages or findings.has_ended_early),
        losses=findings.losses,
        damages=findings.damages,
    )


def summary_lines(summary: ImageSummary) -> Iterator[str]:
    """The summary for a person."""
    base = summary.base_date_s
    blocking = f"{summary.records_per_block} KiB" if summary.records_per_block else "not told"
    counts = ", ".join(f"{count} x {kind}" for kind, count in summary.counts.items())
    attributes = ", ".join(f"{count} x {kind}" for kind, count in summary.attributes.items())
    rows = (
        ("image", summary.image),
        ("form", summary.form + (", compressed blocks" if summary.compressed else "")),
        ("byte order", summary.byte_order),
        ("level", str(summary.level)),
        ("date", time_text(summary.date_s)),
        ("builds on", "nothing, it is a full dump" if base is None else time_text(base)),
        ("host", summary.host),
        ("file system", summary.filesystem),
        ("device", summary.device),
        ("label", summary.label),
        ("first volume", str(summary.volume)),
        ("blocking", blocking),
        ("contents", counts),
        *((("attributes", attributes),) if attributes else ()),
        ("file bytes", f"{summary.content_bytes:,}"),
        ("dump bytes", f"{summary.stream_bytes:,}"),
        ("complete", _verdict(summary)),
    )
    return (f"{name + ':':<14}{value}".rstrip() for name, value in rows)


def _form(first: Header, *, is_old: bool) -> str:
    if first.magic == UFS2_MAGIC:
        return "UFS2 dump, with times of 64 bits"
    if is_old:
        return "BSD dump of before 4.4BSD, with users of 16 bits"
    return "BSD dump"


def _verdict(summary: ImageSummary) -> str:
    if summary.complete:
        return "yes"
    return f"no: {summary.losses} losses, {summary.damages} unreadable parts"
