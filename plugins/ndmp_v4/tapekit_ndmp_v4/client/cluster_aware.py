"""Cluster Aware Backup, as a client uses it.

A server of the class is told what a data connection is for before it is asked
for one. Of volumes and devices it tells the affinity: where two are equal, a
backup may stay inside one session, otherwise it goes three-way. The one rule:
a server that has not granted the class is never told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekit_ndmp_v4.cluster_aware import (
    AFFINITY,
    CLASS_ID,
    VERSION,
    CabDataConnPrepareRequest,
)
from tapekit_ndmp_v4.wire import Pair

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tapekit_ndmp_v4.client.client import NdmpClient
    from tapekit_ndmp_v4.messages import Name
    from tapekit_ndmp_v4.numbers import AddrType

__all__ = ["CAB", "affinity_of", "destination_variables", "prepare_data_connection"]

CAB: Final[Mapping[int, Sequence[int]]] = {CLASS_ID: (VERSION,)}
"""Cluster Aware Backup, for :func:`choose_extensions`."""


async def prepare_data_connection(
    client: NdmpClient,
    kind: AddrType,
    butype: str,
    environment: Iterable[tuple[str, str]],
) -> bool:
    """Tell a server that has granted the class what the next data connection
    is for; CAB_DATA_CONN_PREPARE.

    :param environment: that of the operation to come; for a restore
        ``FILESYSTEM`` and ``PREFIX`` lead to the destination.
    :returns: whether the session has the class; otherwise nothing is said.
    :raises NdmpReplyError: the server refuses.
    """
    if CLASS_ID not in client.extensions:
        return False
    await client.call(
        CabDataConnPrepareRequest(
            addr_type=kind,
            butype_name=butype,
            env=tuple(Pair(*pair) for pair in environment),
        )
    )
    return True


def destination_variables(
    environment: Iterable[tuple[str, str]], names: Iterable[Name]
) -> tuple[tuple[str, str], ...]:
    """What :func:`prepare_data_connection` is told of a restore: the variables
    with the destination in FILESYSTEM and PREFIX.
    """
    variables = dict(environment)
    named = (name.destination_path for name in names)
    absolute = (path for path in named if path.startswith("/"))
    place = next(absolute, variables.get("PREFIX") or variables.get("FILESYSTEM", ""))
    return tuple({**variables, "FILESYSTEM": place, "PREFIX": place}.items())


def affinity_of(pairs: Iterable[Pair]) -> str | None:
    """Where a volume (``fs_env``) or a device (``capability``) is; ``None``
    if the server does not tell. Two that are equal are at one place.
    """
    return next((pair.value for pair in pairs if pair.name == AFFINITY), None)
