"""The SMTape engine: checks what is asked for and makes the jobs that do it.

What can be refused is refused here, before any data moves: variables, the
volume, its state and its Snapshot copies. The one rule: a preparation that
raises leaves nothing open behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.data_engine import Ability, permit_every_path
from tapekit.hookspecs.environment import Environment
from tapekit.hookspecs.movements import JobKind
from tapekit.hookspecs.volume_images import ImageStorage
from tapekit_smtape import recover_job
from tapekit_smtape.backup_job import BackupAsked, SmtapeBackup
from tapekit_smtape.backup_selection import check_source, wish_of
from tapekit_smtape.errors import CATALOGUE
from tapekit_smtape.variables import ENGINE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tapekit.hookspecs.data_engine import (
        BackupJob,
        Pairs,
        PathPermit,
        RecoverJob,
        Selection,
    )
    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit_smtape.settings import SmtapeSettings

__all__ = ["SmtapeEngine"]


@final
class SmtapeEngine:
    """The butype ``smtape``."""

    def __init__(self, settings: SmtapeSettings) -> None:
        self._settings: Final = settings
        self._kernel: Kernel | None = None

    @property
    def name(self) -> str:
        """``smtape``, as DMAs ask for it."""
        return ENGINE

    @property
    def abilities(self) -> Ability:
        """What it can do (NDMP v4, CONFIG_GET_BUTYPE_INFO): no file history,
        no single files, no direct access.
        """
        return (
            Ability.BACKUP_INCREMENTAL
            | Ability.RECOVER_INCREMENTAL
            | Ability.BACKUP_UTF8
            | Ability.RECOVER_UTF8
        )

    def assembled(self, kernel: Kernel) -> None:
        """Meet the stack that this engine works in.

        :raises TapekitError: the spool directory does not exist.
        """
        self._kernel = kernel
        directory = self._spool(kernel)
        if directory is not None and not directory.is_dir():
            raise CATALOGUE.error("spool-directory-missing", directory=directory)

    def prepare_backup(
        self, environment: Pairs, holder: str, permit: PathPermit = permit_every_path
    ) -> BackupJob:
        """Check and set up a backup.

        :raises BadEnvironment: a variable's value is not allowed, or one is
            missing.
        :raises PathNotPermitted: it would read where it may not.
        :raises TapekitError: the volume, its state or its Snapshot copies
            forbid it.
        """
        kernel = self._met()
        read = Environment(kernel.variables(ENGINE), environment)
        read.check()
        wish = wish_of(read)
        permit(wish.volume)
        storage = kernel.storage
        if not isinstance(storage, ImageStorage):
            raise CATALOGUE.error("no-image-storage")
        stay = kernel.volume_jobs.enter(
            volumes=(wish.volume,), engine=ENGINE, kind=JobKind.BACKUP, holder=holder
        )
        try:
            check_source(storage, wish)
        except BaseException:
            stay.leave()
            raise
        asked = BackupAsked(read, wish, holder)
        return SmtapeBackup(asked, storage, kernel, self._spool(kernel), stay)

    def prepare_recover(
        self,
        environment: Pairs,
        selections: Sequence[Selection],
        holder: str,
        permit: PathPermit = permit_every_path,
    ) -> RecoverJob:
        """Check and set up a restore; no selection means everything.

        :raises BadEnvironment: a variable's value is not allowed.
        :raises PathNotPermitted: it would write where it may not.
        :raises TapekitError: anything else that forbids it.
        """
        kernel = self._met()
        read = Environment(kernel.variables(ENGINE), environment)
        read.check()
        return recover_job.prepare(read, selections, holder, kernel, permit)

    def _met(self) -> Kernel:
        assert self._kernel is not None, "the stack has not been assembled"
        return self._kernel

    def _spool(self, kernel: Kernel) -> Path | None:
        name = self._settings.spool_directory
        return None if name is None else kernel.base_directory / name
