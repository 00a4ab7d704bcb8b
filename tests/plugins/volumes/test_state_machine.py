"""Any order of commands, uses and restores, against a model of one volume."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.plugins.volumes.conftest import Site

from tapekit.errors import TapekitError
from tapekit.hookspecs.volume_images import VolumeState, VolumeType

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.hookspecs.storage import BackupTree
    from tapekit.hookspecs.volume_images import VolumeImage

PATH = "/vs1/vol1"
STATES = st.sampled_from(VolumeState)
TYPES = st.sampled_from(VolumeType)
_MEMORY = Path("/dev/shm")


class OneVolume(RuleBasedStateMachine):
    """A volume that is restarted, used and restored to as it comes."""

    def __init__(self) -> None:
        super().__init__()
        # In memory, since each image that is finished flushes its file system.
        self.folder = Path(tempfile.mkdtemp(dir=_MEMORY if _MEMORY.is_dir() else None))
        self.site = Site(self.folder)
        self.state, self.type, self.is_whole = VolumeState.ONLINE, VolumeType.RW, True
        self.readers: list[BackupTree] = []
        self.image: VolumeImage | None = None

    def teardown(self) -> None:
        self.stop_reading()
        if self.image is not None:
            self.image.close()
        shutil.rmtree(self.folder)

    def attempt(self, is_allowed: bool, call: Callable[[], object]) -> None:
        if is_allowed:
            call()
        else:
            with pytest.raises(TapekitError):
                call()

    @property
    def is_free(self) -> bool:
        return not self.readers and self.image is None

    @rule(state=STATES)
    def change_state(self, state: VolumeState) -> None:
        is_allowed = self.is_free and (self.is_whole or state is not VolumeState.ONLINE)
        volume = self.site.storage.volume(PATH)
        self.attempt(is_allowed, lambda: self.site.storage.states.change(volume, state))
        self.state = state if is_allowed else self.state

    @rule(kind=TYPES)
    def change_type(self, kind: VolumeType) -> None:
        is_allowed = self.is_free and self.is_whole
        volume = self.site.storage.volume(PATH)
        self.attempt(is_allowed, lambda: self.site.storage.states.change_type(volume, kind))
        self.type = kind if is_allowed else self.type

    @rule()
    def read(self) -> None:
        self.attempt(
            self.state is VolumeState.ONLINE,
            lambda: self.readers.append(self.site.storage.open_backup(PATH, "a reader")),
        )

    @precondition(lambda self: self.readers)
    @rule()
    def stop_reading(self) -> None:
        while self.readers:
            self.readers.pop().close()

    @rule()
    def write(self) -> None:
        is_allowed = self.state is VolumeState.ONLINE and self.type is VolumeType.RW
        self.attempt(is_allowed, lambda: self.site.storage.open_restore(PATH, "a writer").close())

    @rule()
    def open_image(self) -> None:
        is_allowed = (
            self.is_free and self.state is VolumeState.RESTRICTED and self.type is VolumeType.DP
        )

        def opened() -> None:
            self.image = self.site.storage.open_image(PATH, "a restore")

        self.attempt(is_allowed, opened)

    @precondition(lambda self: self.image)
    @rule()
    def change_content(self) -> None:
        assert self.image is not None
        assert self.image.root.is_dir()
        self.is_whole = False

    @precondition(lambda self: self.image)
    @rule()
    def cut(self) -> None:
        assert self.image is not None
        self.image.close()
        self.image = None

    @precondition(lambda self: self.image)
    @rule(writable=st.booleans())
    def finish(self, writable: bool) -> None:
        assert self.image is not None
        self.image.go_online(writable=writable)
        self.image = None
        self.state, self.is_whole = VolumeState.ONLINE, True
        self.type = VolumeType.RW if writable else self.type

    @rule()
    def restart(self) -> None:
        self.site.settle()

    @invariant()
    def nothing_else_has_changed(self) -> None:
        facts = self.site.storage.volume_facts(PATH)
        assert (facts.state, facts.type, facts.is_whole) == (self.state, self.type, self.is_whole)
        assert self.is_whole or self.state is not VolumeState.ONLINE


TestOneVolume = OneVolume.TestCase
TestOneVolume.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
