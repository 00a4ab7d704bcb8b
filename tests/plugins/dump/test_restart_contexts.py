"""Contexts in the store: who has one, what is kept of it, and when it goes."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import msgspec
import pytest

from tapekit.errors import TapekitError
from tapekit.kernel.memory_state import MemoryStateStore
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.restart_contexts import (
    BackupStatus,
    Checkpoint,
    ContextState,
    RestartContext,
    RestartContexts,
)

if TYPE_CHECKING:
    from collections.abc import Callable


class MemoryLocks:
    """A storage that notes its locks, and fails when it is told to."""

    def __init__(self) -> None:
        self.held: set[tuple[str, str, str]] = set()
        self.at_lock: Callable[[], object] = int
        self.fails = False

    def lock_snapshot(self, volume: str, name: str, holder: str) -> bool:
        self.at_lock()
        self.held.add((volume, name, holder))
        return True

    def unlock_snapshot(self, volume: str, name: str, holder: str) -> None:
        if self.fails:
            raise CATALOGUE.error("no-storage")
        self.held.discard((volume, name, holder))


class Contexts:
    """A store with contexts; the clock stands still."""

    def __init__(self) -> None:
        self.state, self.locks = MemoryStateStore(), MemoryLocks()
        self.start()

    def start(self) -> RestartContexts:
        """The contexts as a new server finds them."""
        self.known = RestartContexts(self.state, self.locks, lambda: 77.5)
        return self.known

    def begin(self, *positions: int) -> RestartContext:
        """A backup has got so far, and runs."""
        context = self.known.begin(a_context(self.known.new_id()))
        self.known.add(context, [Checkpoint(each, each // 1024) for each in positions])
        return context


def a_context(context_id: str) -> RestartContext:
    return RestartContext(
        id=context_id,
        volume="/vs1/vol1",
        path="/vs1/vol1/docs",
        subpath="docs",
        snapshot="snapshot_for_backup.0",
        pairs=(("FILESYSTEM", "/vs1/vol1/docs"),),
        date=5,
        level=0,
        files_start=4096,
        outline=9,
        taken_at_s=1,
        records_per_block=10,
        extent_bytes=262144,
        has_offset_map=True,
        updated_s=0,
    )


@pytest.fixture
def contexts() -> Contexts:
    return Contexts()


def test_a_context_is_durable_before_its_lock_is_made(contexts: Contexts) -> None:
    seen: list[int] = []
    contexts.locks.at_lock = lambda: seen.append(len(contexts.state.items("dump.restarts")))
    context = contexts.begin(4096)
    assert seen == [1]
    assert context.is_auto_created
    assert context.updated_s == 77
    assert contexts.locks.held == {("/vs1/vol1", "snapshot_for_backup.0", context.holder)}


@pytest.mark.requirement("R244")
def test_a_context_passes_through_its_states(contexts: Contexts) -> None:
    context = contexts.begin()
    (view,) = contexts.known.views("vs1")
    assert contexts.known.views("vs2") == []
    assert (view.status, view.state) == (BackupStatus.RUNNING, ContextState.BUSY)
    contexts.known.add(context, [Checkpoint(4096, 3)])
    contexts.known.give_back(context.id)
    (view,) = contexts.start().views()
    assert (view.status, view.state) == (BackupStatus.INTERRUPTED, ContextState.RESTARTABLE)
    taken = contexts.known.take(context.id)
    assert msgspec.structs.replace(taken, updated_s=0) == msgspec.structs.replace(
        context, updated_s=0
    )
    contexts.known.spend(taken)
    contexts.locks.fails = True
    with pytest.raises(TapekitError):
        contexts.known.give_back(context.id)
    (view,) = contexts.known.views()
    assert (view.status, view.state) == (BackupStatus.FINISHED, ContextState.TO_BE_CLEANED_UP)
    contexts.locks.fails = False
    assert contexts.known.clean_up() == []
    assert contexts.known.views() == []
    assert contexts.state.items("dump.checkpoints") == {}
    assert contexts.locks.held == set()


def test_paths_of_any_bytes_are_kept(contexts: Contexts) -> None:
    path = os.fsdecode(b"/vs1/vol1/\xff\xc3\xa9\n")
    odd = msgspec.structs.replace(
        a_context("1"), path=path, subpath=path[10:], pairs=(("FILESYSTEM", path),)
    )
    kept = contexts.known.begin(odd)
    (view,) = contexts.start().views()
    assert view.context == kept
    assert view.context.path == path


def test_a_restart_forgets_the_checkpoints_behind_its_own(contexts: Contexts) -> None:
    context = contexts.begin(4096, 8192, 12288)
    contexts.known.go_on_from(context, Checkpoint(8192, 8))
    kept = contexts.known.checkpoints(context.id)
    assert kept == [Checkpoint(4096, 4), Checkpoint(8192, 8)]


def test_what_was_lost_behind_a_checkpoint_makes_the_rest_uncertain(contexts: Contexts) -> None:
    known, context = contexts.known, contexts.begin(4096, 8192)
    known.note_losses(context, 7168, 2)
    before, behind = Checkpoint(4096, 4), Checkpoint(8192, 8, losses=2)
    known = contexts.start()
    assert [known.is_certain(context, before, each) for each in (4096, 7168, 7169)] == [
        True,
        True,
        False,
    ]
    assert known.is_certain(context, behind, 9000)
    known.go_on_from(context, behind)
    assert not known.is_certain(context, before, 9000)
    known.go_on_from(context, before)
    assert known.is_certain(context, before, 9000)


def test_losses_are_noted_from_where_this_release_goes_on(contexts: Contexts) -> None:
    context = contexts.begin(4096, 8192)
    assert context.losses_noted_from is None
    later = contexts.known.go_on_from(context, Checkpoint(8192, 8))
    assert later.losses_noted_from == 8192
    contexts.known.add(later, [Checkpoint(12288, 12)])
    (view,) = contexts.start().views()
    assert view.context.losses_noted_from == 8192
    earlier = contexts.known.go_on_from(later, Checkpoint(4096, 4))
    assert earlier.losses_noted_from == 4096
    assert contexts.known.go_on_from(earlier, Checkpoint(8192, 8)).losses_noted_from == 4096


def test_a_crash_before_the_first_checkpoint_is_cleaned_up(contexts: Contexts) -> None:
    contexts.begin()
    (view,) = contexts.start().views()
    assert view.state is ContextState.WITHOUT_CHECKPOINT
    with pytest.raises(TapekitError, match="cannot be restarted"):
        contexts.known.take(view.context.id)
    assert contexts.known.clean_up() == []
    assert contexts.known.views() == []
    assert contexts.locks.held == set()


def test_what_is_busy_is_neither_cleaned_up_nor_deleted(contexts: Contexts) -> None:
    context = contexts.begin()
    assert contexts.known.clean_up() == []
    with pytest.raises(TapekitError, match="in use"):
        contexts.known.delete("vs1", context.id)
    assert len(contexts.known.views()) == 1


@pytest.mark.requirement("R225")
def test_a_context_is_deleted_once_by_its_own_svm(contexts: Contexts) -> None:
    context = contexts.begin(4096)
    contexts.known.give_back(context.id)
    with pytest.raises(TapekitError, match="There is no restartable context"):
        contexts.known.delete("vs2", context.id)
    contexts.known.delete("vs1", context.id)
    assert contexts.locks.held == set()
    with pytest.raises(TapekitError, match="There is no restartable context"):
        contexts.known.delete("vs1", context.id)


def test_of_many_that_take_a_context_at_once_one_has_it(contexts: Contexts) -> None:
    context = contexts.begin(4096)
    contexts.known.give_back(context.id)
    results: list[bool] = []
    gate = threading.Barrier(8)

    def take() -> None:
        gate.wait()
        try:
            contexts.known.take(context.id)
        except TapekitError:
            results.append(False)
        else:
            results.append(True)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False] * 7 + [True]
