"""The course of a restore: what an image can follow, and how it is applied.

A baseline replaces all that the volume holds. Any other image changes what
its base copy was, copy by copy, and those that the volume has already are
read and passed over: so a restore that was cut is repeated from where it
came to, and a differential image follows another one. The one rule: before
a copy is begun, the table of objects says that the volume is neither the one
copy nor the other, and after it was taken that it is this one.
"""

from __future__ import annotations

import secrets
import sqlite3
from typing import TYPE_CHECKING, Final, final

from tapekit.errors import TapekitError
from tapekit.hookspecs.movements import JobKind
from tapekit.segments import ConnectionBroken
from tapekit_smtape.apply_copy import CopyWriter
from tapekit_smtape.apply_map import MapDamaged, MapFacts, ObjectMap, signed
from tapekit_smtape.apply_records import apply_records, expect_begin
from tapekit_smtape.apply_tree import NoSuchObject, VolumeTree
from tapekit_smtape.errors import CATALOGUE
from tapekit_smtape.format_records import CopyEnd
from tapekit_smtape.reader import ImageReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tapekit.hookspecs.storage import KeepGoing
    from tapekit.hookspecs.volume_images import VolumeImage
    from tapekit.streams import StreamReader
    from tapekit_smtape.format_header import CopyRow, ImageHeader
    from tapekit_smtape.format_records import Record

__all__ = ["RestoreCourse"]


@final
class RestoreCourse:
    """One image on its way into one volume."""

    def __init__(
        self, stream: StreamReader, volume: str, image: VolumeImage, keep_going: KeepGoing
    ) -> None:
        self._reader: Final = ImageReader(stream)
        self._volume: Final = volume
        self._image: Final = image
        self._keep_going: Final = keep_going
        self._header: ImageHeader | None = None
        self._objects: ObjectMap | None = None
        self._tree: VolumeTree | None = None
        self._writer: CopyWriter | None = None
        self._there = 0

    @property
    def kind(self) -> JobKind:
        """What becomes of the volume, once :meth:`begin` has returned."""
        is_baseline = self._known_header().base is None
        return JobKind.BASELINE_RESTORE if is_baseline else JobKind.INCREMENTAL_RESTORE

    @property
    def description(self) -> str:
        """What is restored, in words, once :meth:`begin` has returned."""
        header = self._known_header()
        kind = "baseline" if header.base is None else "incremental"
        return f"{kind} image of {header.volume}, {len(header.copies)} Snapshot copies"

    def begin(self, set_id: str | None) -> None:
        """Read the image's header, and see whether the volume is what it
        builds on.

        :param set_id: the backup set that the image has to be of, if it matters.
        :raises TapekitError: it is no image, or not the one that comes next.
        """
        header = self._header = self._reader.header()
        if set_id and set_id.strip().replace("-", "").lower() != self._reader.set_id.hex():
            raise CATALOGUE.error("mismatch-in-backup-set-id")
        if header.base is not None:
            self._there = self._already_there(header.base)

    def copies(self) -> Iterator[str]:
        """Apply the image; yields the name of each Snapshot copy once it is
        in the volume.

        :raises ConnectionBroken: the stream's other end broke off.
        :raises TapekitError: the image is damaged, or the volume cannot be
            written.
        """
        try:
            yield from self._apply()
        except (TapekitError, ConnectionBroken):
            raise
        except NoSuchObject as error:
            raise CATALOGUE.error("failed-to-read-backup-image", reason=error) from error
        except MapDamaged as error:
            raise CATALOGUE.error("baseline-needed", path=self._volume, reason=error) from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise CATALOGUE.error("volume-not-written", path=self._volume, reason=reason) from error
        except sqlite3.Error as error:
            raise CATALOGUE.error("volume-not-written", path=self._volume, reason=error) from error

    def close(self) -> None:
        """Close what is open; later calls do nothing."""
        for each in (self._writer, self._tree, self._objects):
            if each is not None:
                each.close()

    def _known_header(self) -> ImageHeader:
        assert self._header is not None
        return self._header

    def _already_there(self, base: str) -> int:
        """How many copies of the image the volume has.

        :raises TapekitError: the volume is not what the image builds on.
        """
        here = [copy.identifier for copy in self._image.copies()]
        if base not in here:
            raise CATALOGUE.error("base-missing", path=self._volume, base=base)
        coming = [base, *(copy.identifier for copy in self._known_header().copies)]
        if here[-1] not in coming:
            newest = self._image.copies()[-1].name
            raise CATALOGUE.error("base-not-newest", path=self._volume, newest=newest)
        return coming.index(here[-1])

    # Applying.

    def _apply(self) -> Iterator[str]:
        header = self._known_header()
        records = self._reader.records()
        if header.base is None:
            self._start_anew(header)
        else:
            self._go_on()
        assert self._tree is not None
        assert self._objects is not None
        self._writer = CopyWriter(self._tree, self._objects, self._keep_going)
        for index, copy in enumerate(header.copies):
            if index < self._there:
                self._pass_over(records, index)
                continue
            self._apply_copy(records, index, copy)
            yield copy.name
        if next(records, None) is not None:
            raise CATALOGUE.error("failed-to-read-backup-image", reason="there is too much in it")
        newest = header.copies[-1].identifier
        self._objects.commit(MapFacts(self._reader.set_id, newest, is_settled=True))

    def _start_anew(self, header: ImageHeader) -> None:
        for copy in self._image.copies():
            self._image.forget(copy.name)
        root = self._image.root
        self._objects = ObjectMap.create(self._image.memory)
        self._tree = self._new_tree(root, self._objects)
        self._tree.empty(signed(header.root))

    def _go_on(self) -> None:
        here = self._image.copies()
        self._objects, facts = ObjectMap.open(self._image.memory)
        is_known = facts.identifier in {copy.identifier for copy in here[-1:]}
        root = self._image.root
        self._tree = self._new_tree(root, self._objects)
        if not (facts.is_settled and is_known):
            self._tree.find_again()
        newest = here[-1].identifier
        # A copy that was cut at its very end has left some, and comes again.
        self._objects.forget_due()
        self._objects.commit(MapFacts(self._reader.set_id, newest, is_settled=False))

    def _new_tree(self, root: Path, objects: ObjectMap) -> VolumeTree:
        return VolumeTree(root, objects, secrets.token_hex(8), self._keep_going)

    def _pass_over(self, records: Iterator[Record], index: int) -> None:
        expect_begin(records, index)
        for record in records:
            if isinstance(record, CopyEnd):
                return

    def _apply_copy(self, records: Iterator[Record], index: int, copy: CopyRow) -> None:
        tree, objects, writer = self._tree, self._objects, self._writer
        assert tree is not None
        assert objects is not None
        assert writer is not None
        expect_begin(records, index)
        tree.begin()
        apply_records(records, writer, tree)
        writer.finish(MapFacts(self._reader.set_id, copy.identifier, is_settled=False))
        self._image.take(copy.name, copy.identifier, copy.created_at_s, self._keep_going)
