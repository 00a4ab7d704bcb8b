"""What jobs are told that meet a movement of storage.

For SMTape the texts are those of the guide's messages, for dump and other
engines sentences of our own. The one rule: the client of an aborted job
learns which movement it was, and when to run the job again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekit.hookspecs.movements import Abort, HaPolicy
from tapekit_cluster.errors import CATALOGUE
from tapekit_cluster.movement_operations import Domain

if TYPE_CHECKING:
    from tapekit.errors import TapekitError
    from tapekit.hookspecs.movements import VolumeJob
    from tapekit_cluster.movement_operations import Movement

__all__ = ["abort_of", "refusal_of"]

_SMTAPE: Final = "smtape"


def abort_of(job: VolumeJob, movement: Movement, policy: HaPolicy) -> Abort:
    """How a job is aborted by a movement. No dump goes on after a failover or
    a relocation; only a MetroCluster operation leaves its restarts alone.

    :param policy: of the aggregate whose volume the job uses.
    """
    is_metrocluster = movement.kind.domain is Domain.METROCLUSTER
    if job.engine == _SMTAPE:
        error = _smtape_aborted(movement, policy)
    else:
        error = CATALOGUE.error(
            "job-aborted-by-movement",
            volumes=", ".join(job.volumes),
            engine=job.engine,
            kind=job.kind.value,
            movement=movement.kind.value,
        )
    return Abort(error, may_restart=is_metrocluster)


def refusal_of(job: VolumeJob, movement: Movement) -> TapekitError:
    """What a job fails with that wants to begin during a movement."""
    if job.engine != _SMTAPE:
        return CATALOGUE.error(
            "job-refused-by-movement",
            volumes=", ".join(job.volumes),
            engine=job.engine,
            kind=job.kind.value,
            movement=movement.kind.value,
        )
    if movement.kind.domain is Domain.METROCLUSTER:
        return CATALOGUE.error("aborted-by-metrocluster")
    return CATALOGUE.error("aggregate-under-migration")


def _smtape_aborted(movement: Movement, policy: HaPolicy) -> TapekitError:
    match movement.kind.domain:
        case Domain.METROCLUSTER:
            return CATALOGUE.error("aborted-by-metrocluster")
        case Domain.RELOCATION:
            return CATALOGUE.error("aborted-by-relocation")
    if policy is HaPolicy.CFO:
        return CATALOGUE.error("aborted-by-cfo")
    return CATALOGUE.error("aborted-by-sfo")
