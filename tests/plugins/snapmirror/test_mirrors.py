"""The operations of relationships, in stacks where something goes wrong."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest
import trio
from tests.plugins.snapmirror.mirror_site import COPY, MirrorSite

from tapekit.hookspecs.operations import NoRequest
from tapekit.hookspecs.volume_images import VolumeState
from tapekit_snapmirror.mirrors import Mirrors
from tapekit_snapmirror.operations import DestinationRequest, TransferRequest
from tapekit_snapmirror.relationships import MirrorState, Step, TransferStatus

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tapekit.hookspecs.data_engine import BackupJob


class FailingEngine:
    """An engine that fails when a backup is prepared."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def prepare_backup(self, *_asked: object) -> BackupJob:
        raise self.error


class KernelWithEngine:
    """A stack with another engine."""

    def __init__(self, site: MirrorSite, engine: FailingEngine) -> None:
        self._kernel = site.kernel
        self.engines = MappingProxyType({"smtape": engine})

    def __getattr__(self, name: str) -> object:
        return getattr(self._kernel, name)


def performing(site: MirrorSite, engine: FailingEngine) -> tuple[Mirrors, Callable[..., Any]]:
    """Relationships of a stack with a failing engine, and how to ask them."""
    mirrors = Mirrors()
    mirrors.settle(KernelWithEngine(site, engine))  # type: ignore[arg-type]  # by __getattr__
    offered = {each.name: each.perform for each in mirrors.operations()}

    def ask(name: str, request: object) -> Awaitable[Any]:
        return offered[f"snapmirror.{name}"](request)

    return mirrors, ask


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("a defect"), "failed by a defect of this program"),
        (OSError("no room is left"), "no room is left"),
    ],
)
async def test_what_fails_a_transfer_ends_no_more_than_that(
    site: MirrorSite, error: Exception, told: str
) -> None:
    site.make()
    mirrors, ask = performing(site, FailingEngine(error))
    with trio.fail_after(60):
        async with mirrors.running():
            begun = await ask("transfer", TransferRequest(COPY, Step.INITIALIZE))
            assert begun.status is TransferStatus.TRANSFERRING
            ended = await ask("wait", DestinationRequest(COPY))
            assert told in ended.last.error
            (shown,) = (await ask("show", NoRequest())).relationships
    assert shown == ended
    assert (shown.state, shown.status) == (MirrorState.UNINITIALIZED, TransferStatus.IDLE)
    assert site.storage.volume_facts(COPY).state is VolumeState.ONLINE
    assert site.copies("/vs1/source") == []
    assert list(site.copy.iterdir()) == []
