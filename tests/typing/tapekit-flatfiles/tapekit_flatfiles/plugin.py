"""The butype ``flatfiles``, as a plugin: wiring and nothing else."""

from collections.abc import Sequence
from typing import ClassVar

from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.data_engine import DataEngine
from tapekit.hookspecs.environment import Variable
from tapekit.hookspecs.lifecycle import Kernel, Manifest, NoSettings
from tapekit_flatfiles.engine import VARIABLES, FlatFilesEngine


class FlatFilesPlugin:
    manifest: ClassVar = Manifest(name="flatfiles", summary="Backs up the files of a directory")

    def __init__(self, settings: NoSettings) -> None:
        del settings
        self._engine = FlatFilesEngine()

    @hookimpl
    def tapekit_register_data_engines(self) -> Sequence[DataEngine]:
        return [self._engine]

    @hookimpl
    def tapekit_register_environment_variables(self) -> Sequence[Variable]:
        return VARIABLES

    @hookimpl
    def tapekit_on_assembled(self, kernel: Kernel) -> None:
        self._engine.kernel = kernel
