"""What a session sees, by the role of its LIF and by Cluster Aware Backup.

The two tables are those of the guide ("Availability of volumes and tape
devices for backup and restore on different LIF types", "NDMP data connection
types") in one. The one rule: nothing else decides what is seen; that a
session on a data LIF sees one SVM alone is the LIF's owner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekit.hookspecs.placement import Reach, Sight

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tapekit_cluster.settings import LifRole

__all__ = ["NODE_SCOPE", "SIGHTS"]

_NETWORK: Final = frozenset({"TCP", "TCP_IPV6"})
_ALL: Final = _NETWORK | {"LOCAL"}
_NOTHING, _NODE, _CLUSTER = Reach.NOTHING, Reach.NODE, Reach.CLUSTER

SIGHTS: Final[Mapping[tuple[LifRole, bool], Sight]] = {
    # role,          CAB          volumes   devices   data connections
    ("node-mgmt",    False): Sight(_NODE,    _NODE,    _ALL),
    ("data",         False): Sight(_NODE,    _NOTHING, _NETWORK),
    ("cluster-mgmt", False): Sight(_NODE,    _NOTHING, _NETWORK),
    ("intercluster", False): Sight(_NODE,    _NODE,    _ALL),
    ("node-mgmt",    True):  Sight(_NODE,    _NODE,    _ALL),
    ("data",         True):  Sight(_CLUSTER, _NOTHING, _NETWORK),
    ("cluster-mgmt", True):  Sight(_CLUSTER, _CLUSTER, _ALL),
    ("intercluster", True):  Sight(_CLUSTER, _CLUSTER, _ALL),
}  # fmt: skip
"""By role and by whether the session has chosen Cluster Aware Backup."""

NODE_SCOPE: Final = Sight(_NODE, _NODE, _ALL)
"""In the node-scoped mode, on any LIF."""
