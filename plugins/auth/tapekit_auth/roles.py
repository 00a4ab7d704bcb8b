"""Roles: who may use NDMP at all, and in which context.

A role of the cluster reaches all storage virtual machines unless its user
names some; a role of an SVM reaches those that its user names. The one
rule: a role that is not in the table permits nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from tapekit.hookspecs.authentication import AccountContext
from tapekit_auth.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from tapekit_auth.settings import CustomRole

__all__ = [
    "NDMP_COMMANDS",
    "NODE_ROLE",
    "PREDEFINED",
    "Role",
    "permitted_contexts",
    "require_roles",
    "roles_with",
]

NDMP_COMMANDS: Final = "vserver services ndmp"
"""The command directory whose access decides about NDMP."""


class Role(NamedTuple):
    """What a role may."""

    name: str
    context: AccountContext
    """What its users belong to."""
    permits_ndmp: bool


NODE_ROLE: Final = "node-scope"
"""The role of credentials for the node-scoped NDMP mode."""

PREDEFINED: Final = (
    #    name              context                 permits NDMP
    Role("admin",          AccountContext.CLUSTER, True),
    Role("backup",         AccountContext.CLUSTER, True),
    Role("vsadmin",        AccountContext.SVM,     True),
    Role("vsadmin-backup", AccountContext.SVM,     True),
    Role(NODE_ROLE,        AccountContext.NODE,    True),
)  # fmt: skip


def roles_with(custom: Iterable[CustomRole]) -> Mapping[str, Role]:
    """All roles by name.

    :raises TapekitError: two have the same name.
    """
    roles = {role.name: role for role in PREDEFINED}
    for one in custom:
        if one.name in roles:
            raise CATALOGUE.error("role-twice", role=one.name)
        access = one.commands.get(NDMP_COMMANDS, "none")
        roles[one.name] = Role(one.name, AccountContext(one.context), access != "none")
    return roles


def require_roles(
    user: str, names: Iterable[str], svms: Collection[str], roles: Mapping[str, Role]
) -> None:
    """Make sure that a user's roles exist and have the SVMs they need.

    :raises TapekitError: they do not.
    """
    for name in names:
        if name not in roles:
            raise CATALOGUE.error(
                "unknown-role", user=user, role=name, known=", ".join(sorted(roles))
            )
        if roles[name].context is AccountContext.SVM and not svms:
            raise CATALOGUE.error("role-needs-svm", user=user, role=name)


def permitted_contexts(
    names: Iterable[str], svms: Collection[str], roles: Mapping[str, Role]
) -> frozenset[AccountContext]:
    """The contexts in which one of the roles lets its user use NDMP."""
    return frozenset(
        role.context
        for role in (roles[name] for name in names if name in roles)
        if role.permits_ndmp and (role.context is not AccountContext.SVM or bool(svms))
    )
