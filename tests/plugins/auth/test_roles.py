"""Roles: who may use NDMP, and where."""

from __future__ import annotations

import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.authentication import AccountContext
from tapekit_auth.roles import (
    NDMP_COMMANDS,
    PREDEFINED,
    permitted_contexts,
    require_roles,
    roles_with,
)
from tapekit_auth.settings import Access, ContextName, CustomRole

ROLES = roles_with(())


def custom(name: str, access: Access | None, context: ContextName = "cluster") -> CustomRole:
    commands = {} if access is None else {NDMP_COMMANDS: access}
    return CustomRole(name=name, context=context, commands=commands)


@pytest.mark.requirement("R175")
def test_the_predefined_roles_are_those_of_the_guide() -> None:
    contexts = {role.name: role.context for role in PREDEFINED}
    assert contexts == {
        "admin": AccountContext.CLUSTER,
        "backup": AccountContext.CLUSTER,
        "vsadmin": AccountContext.SVM,
        "vsadmin-backup": AccountContext.SVM,
        "node-scope": AccountContext.NODE,
    }
    assert all(role.permits_ndmp for role in PREDEFINED)


@pytest.mark.requirement("R175")
@pytest.mark.parametrize("role", ["admin", "backup"])
@pytest.mark.parametrize("svms", [(), ("vs1",)])
def test_a_role_of_the_cluster_permits_with_and_without_svms(
    role: str, svms: tuple[str, ...]
) -> None:
    require_roles("anna", [role], svms, ROLES)
    assert permitted_contexts([role], svms, ROLES)


@pytest.mark.requirement("R175")
@pytest.mark.parametrize("role", ["vsadmin", "vsadmin-backup"])
def test_a_role_of_an_svm_permits_only_with_svms(role: str) -> None:
    assert permitted_contexts([role], ["vs1"], ROLES)
    assert not permitted_contexts([role], [], ROLES)
    require_roles("anna", [role], ["vs1"], ROLES)
    with pytest.raises(TapekitError, match=f"anna: the role {role}") as refused:
        require_roles("anna", [role], [], ROLES)
    assert refused.value.id == "auth.role-needs-svm"


@pytest.mark.requirement("R176")
@pytest.mark.parametrize(
    ("access", "permitted"), [("all", True), ("readonly", True), ("none", False), (None, False)]
)
def test_a_custom_role_permits_by_its_access_to_the_ndmp_commands(
    access: Access | None, permitted: bool
) -> None:
    roles = roles_with([custom("operator", access)])
    assert bool(permitted_contexts(["operator"], [], roles)) is permitted


@pytest.mark.requirement("R176")
def test_access_to_other_commands_does_not_permit() -> None:
    role = CustomRole(name="operator", commands={"vserver services": "all", "volume": "all"})
    assert not permitted_contexts(["operator"], [], roles_with([role]))


def test_a_custom_role_of_an_svm_needs_svms() -> None:
    roles = roles_with([custom("operator", "all", "svm")])
    assert not permitted_contexts(["operator"], [], roles)
    assert permitted_contexts(["operator"], ["vs1"], roles)


def test_one_role_that_permits_is_enough() -> None:
    roles = roles_with([custom("operator", "none")])
    assert permitted_contexts(["operator", "backup"], [], roles)


def test_unknown_roles_permit_nothing_and_are_told() -> None:
    assert not permitted_contexts(["root"], [], ROLES)
    with pytest.raises(TapekitError, match="there is no role root; there are admin") as refused:
        require_roles("anna", ["root"], [], ROLES)
    assert refused.value.id == "auth.unknown-role"


@pytest.mark.parametrize("names", [["admin"], ["operator", "operator"]])
def test_a_role_is_defined_once(names: list[str]) -> None:
    with pytest.raises(TapekitError) as refused:
        roles_with([custom(name, "all") for name in names])
    assert refused.value.id == "auth.role-twice"
