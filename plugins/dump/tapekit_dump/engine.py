"""The dump engine: checks what is asked for and makes the jobs that do it.

Everything that can be refused is refused here, before any data moves: what
the environment says, where the tree is, where the spools may be. The one
rule: a preparation that raises leaves nothing open behind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.data_engine import Ability, permit_every_path
from tapekit.hookspecs.environment import BadEnvironment, Environment
from tapekit.hookspecs.movements import JobKind, volume_of
from tapekit.hookspecs.storage import LockingStorage
from tapekit_dump import recover_job
from tapekit_dump.backup_job import BackupAsked, BackupRequest, DumpBackup
from tapekit_dump.backup_scope import Scope, Subtrees, parse_excluded, parse_subtrees
from tapekit_dump.chain import chain_step
from tapekit_dump.dates import DumpDates
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.offset_map_option import OffsetMapOption
from tapekit_dump.restart_contexts import RestartContexts
from tapekit_dump.restart_run import Restarts
from tapekit_dump.spool import SpoolRoom
from tapekit_dump.variables import ENGINE, refuse_unicode_without_history

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapekit.hookspecs.data_engine import (
        BackupJob,
        Pairs,
        PathPermit,
        RecoverJob,
        Selection,
    )
    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit.hookspecs.storage import BackupTree, KeepGoing, Storage
    from tapekit_dump.restart_run import RestartRun, Resumption
    from tapekit_dump.settings import DumpSettings
    from tapekit_dump.small_files import SmallFileLoops

__all__ = ["DumpEngine"]


@final
class DumpEngine:
    """The butype ``dump``."""

    def __init__(self, settings: DumpSettings) -> None:
        self._settings: Final = settings
        self._kernel: Kernel | None = None
        self._dates: DumpDates | None = None
        self._loops: SmallFileLoops | None = None
        self._contexts: RestartContexts | None = None
        self.offset_map: Final = OffsetMapOption(at_first=settings.offset_map)
        """The option ``ndmpd.offset_map.enable``."""

    @property
    def name(self) -> str:
        """``dump``, as DMAs ask for it."""
        return ENGINE

    @property
    def abilities(self) -> Ability:
        """What it can do (NDMP v4, CONFIG_GET_BUTYPE_INFO)."""
        return (
            Ability.RECOVER_FILELIST
            | Ability.BACKUP_INCREMENTAL
            | Ability.RECOVER_INCREMENTAL
            | Ability.BACKUP_DIRECT
            | Ability.RECOVER_DIRECT
            | Ability.BACKUP_UTF8
            | Ability.RECOVER_UTF8
            | Ability.BACKUP_FH_FILE
            | Ability.BACKUP_FH_DIR
        )

    def assembled(self, kernel: Kernel, loops: SmallFileLoops | None = None) -> None:
        """Meet the stack that this engine works in.

        :param loops: what reads and makes small files, if not the engine itself.
        :raises TapekitError: the spool directory does not exist.
        """
        self._kernel = kernel
        self._dates = DumpDates(kernel.state)
        self.offset_map.settle(kernel.state)
        self._loops = loops
        storage = kernel.storage
        if isinstance(storage, LockingStorage):
            self._contexts = RestartContexts(kernel.state, storage, kernel.clock)
        directory = self._room(kernel).directory
        if directory is not None and not directory.is_dir():
            raise CATALOGUE.error("spool-directory-missing", directory=directory)

    def known_dates(self) -> DumpDates:
        """The dates that backups build on, once the stack is assembled."""
        return self._met()[1]

    def prepare_backup(
        self, environment: Pairs, holder: str, permit: PathPermit = permit_every_path
    ) -> BackupJob:
        """Check and set up a backup.

        :raises BadEnvironment: a variable's value is not allowed, or
            FILESYSTEM is missing.
        :raises PathNotPermitted: it would read where it may not.
        :raises TapekitError: something that is not available is asked for,
            or the tree cannot be opened.
        """
        kernel, _ = self._met()
        read = Environment(kernel.variables(ENGINE), environment)
        read.check()
        restart = self._restarts(kernel).asked(read, permit)
        if restart is None:
            return self._prepared(read, holder, permit, None)
        try:
            return self._prepared(restart.environment, holder, permit, restart)
        except BaseException:
            restart.close()
            raise

    def _prepared(
        self,
        read: Environment,
        holder: str,
        permit: PathPermit,
        restart: RestartRun | None,
    ) -> BackupJob:
        kernel, dates = self._met()
        filesystem = _checked_path(read)
        step = chain_step(read)
        subtrees = _subtrees(read, filesystem)
        excluded = parse_excluded(read.text("EXCLUDE") or "")
        scope = Scope(None if read.switch("NON_QUOTA_TREE") else excluded, subtrees.names)
        storage = kernel.storage
        if storage is None:
            raise CATALOGUE.error("no-storage")
        permit(subtrees.root)
        stay = kernel.volume_jobs.enter(
            volumes=(volume_of(subtrees.root),),
            engine=ENGINE,
            kind=JobKind.BACKUP,
            holder=holder,
        )
        asked = BackupAsked(read, subtrees.root, holder, step, scope, restart)
        try:
            opening = self._opening(asked, storage, subtrees)
        except BaseException:
            stay.leave()
            raise
        return DumpBackup(asked, opening, kernel, dates, stay)

    def _opening(
        self, asked: BackupAsked, storage: Storage, subtrees: Subtrees
    ) -> Callable[[KeepGoing], BackupRequest]:
        """What opens the tree of a backup in its run.

        :raises TapekitError: it could not be opened.
        """
        kernel, dates = self._met()
        read, holder, restart = asked.environment, asked.holder, asked.restart
        resumption = None if restart is None else restart.resumption
        root = subtrees.root if resumption is None else resumption.tree_path
        may_be_file = not (subtrees.names or (read.text("FILESYSTEM") or "").endswith("/"))
        storage.check_backup(root, may_be_file=may_be_file)
        for below in subtrees.names:
            storage.check_backup(f"{root}/{below}", may_be_special=True)

        def open_request(keep_going: KeepGoing) -> BackupRequest:
            tree = storage.open_backup(root, holder, keep_going, may_be_file=may_be_file)
            try:
                return self._request(read, tree, kernel, dates, resumption)
            except BaseException:
                tree.close()
                raise

        return open_request

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
        kernel, _ = self._met()
        read = Environment(kernel.variables(ENGINE), environment)
        read.check()
        options = recover_job.RecoverOptions(
            room=self._room(kernel),
            threads=self._settings.restore_threads,
            loops=self._loops,
            sync_at_end=self._settings.sync_at_end,
        )
        return recover_job.prepare(read, selections, holder, kernel, options, permit)

    def _met(self) -> tuple[Kernel, DumpDates]:
        assert self._kernel is not None
        assert self._dates is not None
        return self._kernel, self._dates

    def _room(self, kernel: Kernel) -> SpoolRoom:
        name = self._settings.spool_directory
        directory = None if name is None else kernel.base_directory / name
        return SpoolRoom(directory, self._settings.spool_memory_bytes)

    def kernel(self) -> Kernel:
        """The stack, once it is assembled."""
        return self._met()[0]

    def restart_contexts(self) -> RestartContexts | None:
        """The backups that can be restarted, once the stack is assembled;
        ``None`` if its storage cannot lock Snapshot copies.
        """
        return self._contexts

    def _restarts(self, kernel: Kernel) -> Restarts:
        rows = kernel.variables(ENGINE)
        return Restarts(rows, self._contexts, self._settings.restart_checkpoint_bytes)

    def _request(
        self,
        read: Environment,
        tree: BackupTree,
        kernel: Kernel,
        dates: DumpDates,
        resumption: Resumption | None,
    ) -> BackupRequest:
        path = f"{tree.volume_path}/{tree.subpath}".rstrip("/")
        name = read.text("DMP_NAME")
        key = f"{path}\n{name}" if name else path
        kept = None if resumption is None else resumption.context
        return BackupRequest(
            tree=tree,
            path=key,
            date=dates.give(key, tree.taken_at_s) if kept is None else kept.date,
            room=self._room(kernel),
            extent_bytes=(
                self._settings.extent_threshold_bytes if kept is None else kept.extent_bytes
            ),
            read_ahead_threads=self._settings.read_ahead_threads,
            loops=self._loops,
            records_per_block=(
                self._settings.records_per_block if kept is None else kept.records_per_block
            ),
            offset_map=self.offset_map.is_on if kept is None else kept.has_offset_map,
            with_labels=self._settings.security_labels == "save",
        )


def _checked_path(environment: Environment) -> str:
    """Check the variables of a backup; gives FILESYSTEM.

    :raises BadEnvironment: a value is not allowed or FILESYSTEM is missing.
    """
    environment.check()
    refuse_unicode_without_history(environment)
    path = (environment.text("FILESYSTEM") or "").rstrip("/")
    if not path:
        raise CATALOGUE.raised_as(BadEnvironment, "filesystem-missing")
    return path


def _subtrees(environment: Environment, filesystem: str) -> Subtrees:
    """The root of a backup, and what of it is taken if that is not all.

    :raises BadEnvironment: MULTI_SUBTREE_NAMES without DMP_NAME, or one of
        its names leads elsewhere.
    """
    names = environment.text("MULTI_SUBTREE_NAMES")
    if not names:
        return Subtrees(filesystem, ())
    if not environment.text("DMP_NAME"):
        raise CATALOGUE.raised_as(BadEnvironment, "dump-name-missing")
    return parse_subtrees(names, filesystem)
