"""A restore of an image: what is checked before, and what becomes of it.

Preparing finds the volume and that it is there for this; running reads the
image's header, sees whether it can follow what the volume holds, and applies
one Snapshot copy after the other. The one rule: the volume goes online only
when the whole image is in it and on disk; whatever ends a restore before
that leaves it restricted.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit.errors import TapekitError
from tapekit.hookspecs.data_engine import (
    FileResult,
    JobProgress,
    LogLevel,
    permit_every_path,
)
from tapekit.hookspecs.events import Event
from tapekit.hookspecs.movements import JobKind
from tapekit.hookspecs.mover import UNLIMITED
from tapekit.hookspecs.storage import for_ever
from tapekit.hookspecs.volume_images import ImageStorage
from tapekit.segments import ConnectionBroken
from tapekit.streams import StreamReader
from tapekit_smtape.errors import CATALOGUE
from tapekit_smtape.recover_course import RestoreCourse
from tapekit_smtape.recover_destination import check_destination, restore_wish
from tapekit_smtape.variables import ENGINE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.hookspecs.data_engine import JobServices, PathPermit, RangeSource, Selection
    from tapekit.hookspecs.environment import Environment
    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit.hookspecs.movements import Stay
    from tapekit.hookspecs.volume_images import VolumeImage
    from tapekit_smtape.recover_destination import RestoreWish

__all__ = ["RecoverJob", "prepare"]

_LOG: Final = logging.getLogger("tapekit.smtape")


class _Asked(NamedTuple):
    """What a restore was asked to do."""

    wish: RestoreWish
    environment: Environment
    holder: str


def prepare(
    environment: Environment,
    selections: Sequence[Selection],
    holder: str,
    kernel: Kernel,
    permit: PathPermit = permit_every_path,
) -> RecoverJob:
    """Check a restore and take the volume.

    :raises PathNotPermitted: the volume may not be written.
    :raises TapekitError: there is no such volume, it is not restricted and
        of type DP, or somebody else has it.
    """
    storage = kernel.storage
    if not isinstance(storage, ImageStorage):
        raise CATALOGUE.error("no-image-storage")
    wish = restore_wish(selections, environment.text("FILESYSTEM"))
    permit(wish.volume)
    stay = kernel.volume_jobs.enter(
        volumes=(wish.volume,), engine=ENGINE, kind=JobKind.IMAGE_RESTORE, holder=holder
    )
    try:
        check_destination(storage, wish.volume)
        image = storage.open_image(wish.volume, holder)
    except BaseException:
        stay.leave()
        raise
    return RecoverJob(_Asked(wish, environment, holder), image, kernel, stay)


@final
class RecoverJob:
    """A restore that has been checked and can run once."""

    def __init__(self, asked: _Asked, image: VolumeImage, kernel: Kernel, stay: Stay) -> None:
        self._asked: Final = asked
        self._stay: Final = stay
        self._image: Final = image
        self._kernel: Final = kernel
        self._reader: StreamReader | None = None

    @property
    def progress(self) -> JobProgress:
        """Bytes that have been read; how many will come nobody knows."""
        reader = self._reader
        return JobProgress(0 if reader is None else reader.position, None, None)

    def run(self, stream: RangeSource, services: JobServices) -> None:
        """Read the image once and bring the volume online.

        :raises ConnectionBroken: the stream's other end broke off.
        :raises TapekitError: the image is not restored, and the volume stays
            restricted; a defect of this engine is told so as well.
        """
        self._announce("restore-started")
        result = FileResult.IO_ERROR
        try:
            with contextlib.closing(self), self._stay.at_work(services.break_off):
                self._work(stream, services)
            result = FileResult.SUCCESSFUL
        except ConnectionBroken as broken:
            if self._kernel.draining.is_set():
                error = CATALOGUE.error("job-aborted-shutdown")
                self._failed(services, str(error))
                raise error from broken
            self._failed(services, "the data connection broke off")
            raise
        except TapekitError as error:
            self._failed(services, str(error))
            raise
        except MemoryError as lacking:
            told = CATALOGUE.error("failed-to-allocate-memory")
            self._failed(services, str(told))
            raise told from lacking
        except Exception as defect:
            _LOG.exception("the restore of %s failed", self._asked.wish.volume)
            told = CATALOGUE.error("internal-assertion", defect=repr(defect))
            self._failed(services, str(told))
            raise told from defect
        finally:
            if self._asked.wish.label is not None:
                services.file_result(self._asked.wish.label, result)
        self._announce("restore-finished", bytes=self.progress.bytes_processed)

    def close(self) -> None:
        """Let go of the volume; later calls do nothing."""
        try:
            self._image.close()
        finally:
            self._stay.leave()

    def _work(self, stream: RangeSource, services: JobServices) -> None:
        """Restore, and let go of the volume, whose storage may move then."""
        try:
            self._restore(stream, services)
        except ConnectionBroken as broken:
            aborted = self._stay.aborted
            if aborted is None:
                raise
            raise aborted.error from broken
        finally:
            self._image.close()

    def _restore(self, stream: RangeSource, services: JobServices) -> None:
        environment = self._asked.environment
        reader = self._reader = StreamReader(stream.request(0, UNLIMITED))
        course = RestoreCourse(reader, self._asked.wish.volume, self._image, for_ever)
        try:
            course.begin(environment.text("SMTAPE_BACKUP_SET_ID"))
            self._stay.becomes(course.kind)
            self._tell(services, course.description)
            for copy in course.copies():
                self._announce("copy-restored", snapshot=copy)
                if environment.switch("VERBOSE"):
                    services.log(LogLevel.NORMAL, f"Restored Snapshot copy {copy}")
                if environment.switch("DEBUG"):
                    text = f"{copy} ended at byte {reader.position} of the image"
                    services.log(LogLevel.DEBUG, text)
        finally:
            course.close()
            reader.close()
        self._image.go_online(writable=environment.switch("SMTAPE_BREAK_MIRROR"))

    def _tell(self, services: JobServices, text: str) -> None:
        services.log(LogLevel.NORMAL, f"{self._asked.wish.volume}: {text}")
        self._announce("restore-options", options=text)

    def _failed(self, services: JobServices, reason: str) -> None:
        services.log(
            LogLevel.ERROR, f"{self._asked.wish.volume}: not restored, and stays restricted"
        )
        self._announce("restore-error", reason=reason)
        self._announce("restore-aborted", bytes=self.progress.bytes_processed)

    def _announce(self, name: str, /, **facts: str | int) -> None:
        asked = self._asked
        self._kernel.announce(
            Event(
                name=f"smtape.{name}",
                facts={"path": asked.wish.volume, "holder": asked.holder, **facts},
                time_s=self._kernel.clock(),
            )
        )
