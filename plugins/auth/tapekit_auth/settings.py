"""The settings of logins.

Frozen structs, decoded by the kernel. What one field cannot say alone (that
a role exists, that a name comes once) is checked when the stack is
assembled.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

__all__ = [
    "Access",
    "AuthSettings",
    "ContextName",
    "CustomRole",
    "ListedUser",
    "MethodName",
    "UserName",
]

UserName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[\w.@-]+\Z")]
"""A name that stands in one word of a listing: letters, digits, ``_.@-``."""

MethodName: TypeAlias = Literal["challenge", "plaintext"]
Access: TypeAlias = Literal["none", "readonly", "all"]
ContextName: TypeAlias = Literal["cluster", "svm"]


class ListedUser(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A user of the stack file, whose password stands in a file of its own."""

    name: UserName
    """The name that the backup application gives."""
    password_file: Annotated[str, Meta(min_length=1)]
    """File with the password on one line, mode 0600, relative to the stack
    file's folder."""
    roles: Annotated[tuple[str, ...], Meta(min_length=1)] = ("backup",)
    """What the user may do; one role that permits NDMP is needed."""
    svms: tuple[str, ...] = ()
    """The storage virtual machines that the user may use; empty means all."""


class CustomRole(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A role of one's own, as an administrator's command directories define it."""

    name: UserName
    """The role's name."""
    context: ContextName = "cluster"
    """``svm`` if users of the role are limited to the SVMs they name."""
    commands: dict[str, Access]
    """Access by command directory. The role permits NDMP if it has
    ``vserver services ndmp`` with an access other than ``none``."""


class AuthSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who may log in, and how."""

    methods: Annotated[tuple[MethodName, ...], Meta(min_length=1)] | None = None
    """How a backup application may prove who it is. With ``plaintext`` its
    password crosses the network in clear. If nothing is said, storage virtual
    machines take ``challenge`` alone until ``vserver services ndmp modify``
    says otherwise, and the node-scoped mode takes both."""
    users: tuple[ListedUser, ...] = ()
    """Users of the stack file; others are added by ``tapekit auth add``."""
    key_file: Annotated[str, Meta(min_length=1)] = "state/auth.key"
    """File with the key that seals the passwords of added users, relative to
    the stack file's folder. It is made when it is first needed; keep a copy."""
    custom_roles: tuple[CustomRole, ...] = ()
    """Roles beside admin, backup, vsadmin, vsadmin-backup and node-scope."""
