"""Which jobs a move keeps out, and which keep a move from going on.

The one rule: jobs that a move runs itself, which are known by their holder,
are never in its way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekit.hookspecs.movements import JobKind
from tapekit_volume_move.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from tapekit.errors import TapekitError
    from tapekit.hookspecs.movements import Refusal, VolumeJob
    from tapekit_volume_move.records import Move

__all__ = ["at_cutover", "is_baseline", "is_other", "is_smtape", "listed", "while_moving"]

_SMTAPE: Final = "smtape"
_BASELINES: Final = frozenset({JobKind.BASELINE_RESTORE, JobKind.IMAGE_RESTORE})
"""The second may turn out to be the first."""


def is_other(move: Move) -> Callable[[VolumeJob], bool]:
    """Says of each job whether it is one of the volume, and not the move's own."""

    def judge(job: VolumeJob) -> bool:
        return move.volume in job.volumes and job.holder != move.holder

    return judge


def is_smtape(move: Move) -> Callable[[VolumeJob], bool]:
    """Says of each job whether a cutover is deferred because of it."""
    other = is_other(move)
    return lambda job: other(job) and job.engine == _SMTAPE


def is_baseline(move: Move) -> Callable[[VolumeJob], bool]:
    """Says of each job whether no move begins beside it."""
    other = is_other(move)
    return lambda job: other(job) and job.kind in _BASELINES


def while_moving(move: Move) -> Refusal:
    """Keeps baseline restores from the volume, and everybody from what arrives."""
    other = is_other(move)

    def refuse(job: VolumeJob) -> TapekitError | None:
        if move.arriving in job.volumes and job.holder != move.holder:
            return CATALOGUE.error("volume-arriving", volume=move.arriving)
        if other(job) and job.kind is JobKind.BASELINE_RESTORE:
            return CATALOGUE.error("baseline-refused", volume=move.volume)
        return None

    return refuse


def at_cutover(move: Move) -> Refusal:
    """Keeps new jobs from the volume."""
    other = is_other(move)

    def refuse(job: VolumeJob) -> TapekitError | None:
        if job.was_let_in or not other(job):
            return None
        if job.engine == _SMTAPE:
            return CATALOGUE.error("volume-under-migration")
        return CATALOGUE.error(
            "job-refused-at-cutover", engine=job.engine, kind=job.kind.value, volume=move.volume
        )

    return refuse


def listed(jobs: Collection[VolumeJob]) -> str:
    """Jobs for messages."""
    return "; ".join(map(str, jobs))
