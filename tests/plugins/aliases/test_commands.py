"""Aliases of all nodes are listed, and changed where they are."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from typer.testing import CliRunner

from tapekit.errors import TapekitError
from tapekit_aliases.commands import command_app
from tapekit_aliases.errors import CATALOGUE
from tapekit_aliases.operations import SHOW, AliasChange, Aliases, AliasRow

ROW: Final = AliasRow(alias="st0", mapping="SN[1]", physical_path="8.6")


class MemoryManagement:
    """Answers for one node, and leads to others."""

    def __init__(self, node: str, **nodes: Any) -> None:
        self.node = node
        self.nodes = nodes
        self.changes: list[Any] = []

    def call(self, operation: Any, request: Any) -> Any:
        if operation is SHOW:
            return Aliases(self.node, (ROW,))
        self.changes.append(request)
        return AliasChange(set=ROW, cleared=("st1",))


class FailingManagement:
    """A node that does not answer."""

    def call(self, _operation: Any, _request: Any) -> Any:
        raise CATALOGUE.error("no-such-alias", alias="st9")


class MemoryKernel:
    def __init__(self, management: Any) -> None:
        self.management = management


def typed(management: Any, line: str) -> tuple[str, BaseException | None]:
    kernel: Any = MemoryKernel(management)
    result = CliRunner().invoke(command_app(lambda: kernel), line.split())
    return result.stdout, result.exception


@pytest.mark.requirement("R014")
def test_the_aliases_of_all_nodes_are_listed() -> None:
    management = MemoryManagement("n1", n2=MemoryManagement("n2"))
    listed, trouble = typed(management, "show")
    assert trouble is None
    assert [line.split()[:2] for line in listed.splitlines()[2:]] == [["n1", "st0"], ["n2", "st0"]]
    listed, _ = typed(management, "show --json")
    assert [node["node"] for node in json.loads(listed)] == ["n1", "n2"]


@pytest.mark.parametrize(("node", "shown"), [("local", "n1"), ("n1", "n1"), ("n2", "n2")])
def test_one_node_is_chosen(node: str, shown: str) -> None:
    management = MemoryManagement("n1", n2=MemoryManagement("n2"))
    listed, trouble = typed(management, f"show -node {node}")
    assert trouble is None
    assert [line.split()[0] for line in listed.splitlines()[2:]] == [shown]


def test_a_name_that_no_node_has_is_refused() -> None:
    impostor = MemoryManagement("n1", n2=MemoryManagement("n3"))
    for node in ("n2", "n4"):
        listed, trouble = typed(impostor, f"show -node {node}")
        assert isinstance(trouble, TapekitError)
        assert (listed, trouble.id) == ("", "aliases.other-node")


def test_a_node_that_does_not_answer_is_told_behind_the_others() -> None:
    listed, trouble = typed(MemoryManagement("n1", n2=FailingManagement()), "show")
    assert listed.splitlines()[-1].split()[0] == "n1"
    assert isinstance(trouble, TapekitError)
    listed, trouble = typed(FailingManagement(), "show")
    assert (listed, isinstance(trouble, TapekitError)) == ("", True)


@pytest.mark.requirement("R014")
@pytest.mark.parametrize(
    "line", ["set -node n2 -name st0 -mapping 8.6", "clear -node n2 -name st0"]
)
def test_aliases_change_on_the_node_that_has_them(line: str) -> None:
    second = MemoryManagement("n2")
    first = MemoryManagement("n1", n2=second)
    _, trouble = typed(first, line)
    assert trouble is None
    assert (len(first.changes), len(second.changes)) == (0, 1)
    typed(first, line.replace("-node n2 ", ""))
    assert (len(first.changes), len(second.changes)) == (1, 1)
