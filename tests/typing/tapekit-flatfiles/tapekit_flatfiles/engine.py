"""What can be refused is refused here, before any data moves."""

from collections.abc import Sequence
from typing import Final

from tapekit.hookspecs.data_engine import Ability, Pairs, PathPermit, Selection, permit_every_path
from tapekit.hookspecs.environment import Environment, Kind, Variable
from tapekit.hookspecs.lifecycle import Kernel
from tapekit.hookspecs.movements import JobKind, Stay, volume_of
from tapekit.hookspecs.storage import Storage
from tapekit_flatfiles.errors import CATALOGUE
from tapekit_flatfiles.jobs import FlatFilesBackup, FlatFilesRestore

BUTYPE: Final = "flatfiles"

VARIABLES: Final = (
    Variable(name="FILESYSTEM", engine=BUTYPE, kind=Kind.TEXT, summary="The directory"),
    Variable(
        name="HIDDEN",
        engine=BUTYPE,
        kind=Kind.SWITCH,
        summary="Whether files whose names begin with a dot are backed up",
        default="Y",
    ),
)


def _destination(selections: Sequence[Selection]) -> str:
    """Where the restore list wants everything, or nothing if it does not say."""
    for one in selections:
        if one.destination_path:
            return f"{one.destination_path}/{one.name}".rstrip("/")
    return ""


class FlatFilesEngine:
    name = BUTYPE
    abilities = Ability(0)
    kernel: Kernel | None = None

    def prepare_backup(
        self, environment: Pairs, holder: str, permit: PathPermit = permit_every_path
    ) -> FlatFilesBackup:
        variables = Environment(VARIABLES, environment)
        variables.check()
        path = self._path(variables)
        permit(path)
        storage = self._storage()
        stay = self._enter(path, JobKind.BACKUP, holder)
        try:
            storage.check_backup(path)
        except BaseException:
            stay.leave()
            raise
        return FlatFilesBackup(variables, storage, path, stay)

    def prepare_recover(
        self,
        environment: Pairs,
        selections: Sequence[Selection],
        holder: str,
        permit: PathPermit = permit_every_path,
    ) -> FlatFilesRestore:
        variables = Environment(VARIABLES, environment)
        variables.check()
        for selection in selections:
            if selection.original_path.strip("/"):
                raise CATALOGUE.error("no-single-files", path=selection.original_path)
        path = _destination(selections) or self._path(variables)
        permit(path)
        storage = self._storage()
        stay = self._enter(path, JobKind.RESTORE, holder)
        return FlatFilesRestore(storage, path, selections, stay)

    def _path(self, variables: Environment) -> str:
        path = variables.text("FILESYSTEM")
        if not path:
            raise CATALOGUE.error("no-path")
        return path

    def _storage(self) -> Storage:
        if self.kernel is None or self.kernel.storage is None:
            raise CATALOGUE.error("no-storage")
        return self.kernel.storage

    def _enter(self, path: str, kind: JobKind, holder: str) -> Stay:
        assert self.kernel is not None, "the stack has not been assembled"
        return self.kernel.volume_jobs.enter(
            volumes=(volume_of(path),), engine=BUTYPE, kind=kind, holder=holder
        )
