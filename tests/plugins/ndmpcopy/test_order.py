"""What the two servers are told."""

from __future__ import annotations

from typing import Any

import pytest

from tapekit_ndmp_v4.messages import Name
from tapekit_ndmp_v4.numbers import AddrType, AuthType
from tapekit_ndmpcopy.logins import Login
from tapekit_ndmpcopy.order import CopyOrder, plan_copy, plan_file_copy
from tapekit_ndmpcopy.places import Place


def order(path: str = "/vs1/vol1/a", to: str = "/vs2/vol2/b", **options: Any) -> CopyOrder:
    login = Login(user="ndmp", password=b"secret", method=AuthType.MD5)
    return CopyOrder(
        source=Place(host="10.0.0.1", port=10000, path=path),
        destination=Place(host="10.0.0.2", port=10000, path=to),
        source_login=login,
        destination_login=login,
        **options,
    )


@pytest.mark.requirement("R087")
def test_each_server_hears_of_its_own_path_only() -> None:
    plan = plan_copy(order(), (AddrType.TCP_IPV6, AddrType.TCP))
    assert dict(plan.backup) == {
        "TYPE": "dump",
        "LEVEL": "0",
        "HIST": "n",
        "FILESYSTEM": "/vs1/vol1/a/",
        "UPDATE": "Y",
    }
    assert dict(plan.recover) == {
        "TYPE": "dump",
        "LEVEL": "0",
        "HIST": "n",
        "FILESYSTEM": "/vs2/vol2/b",
        "DIRECT": "n",
    }
    assert plan.names == (Name(original_path="/", destination_path="/vs2/vol2/b"),)
    assert plan.kinds == (AddrType.TCP_IPV6, AddrType.TCP)
    assert plan.butype == "dump"


@pytest.mark.requirement("R099")
def test_the_level_goes_to_both() -> None:
    plan = plan_copy(order(level=9), (AddrType.TCP,))
    assert dict(plan.backup)["LEVEL"] == dict(plan.recover)["LEVEL"] == "9"


@pytest.mark.requirement("R103")
def test_names_to_leave_out_go_to_the_source() -> None:
    plan = plan_copy(order(exclude="*.pst,tmp"), (AddrType.TCP,))
    assert dict(plan.backup)["EXCLUDE"] == "*.pst,tmp"
    assert "EXCLUDE" not in dict(plan.recover)


@pytest.mark.requirement("R087")
@pytest.mark.parametrize(
    ("to", "target"), [("/vs2/vol2/b", "/vs2/vol2/b"), ("/vs2/vol2", "/vs2/vol2/file")]
)
def test_a_file_is_the_only_subtree_of_its_directory(to: str, target: str) -> None:
    plan = plan_file_copy(order("/vs1/vol1/a/file", to), (AddrType.TCP,))
    assert plan is not None
    backup = dict(plan.backup)
    assert (backup["FILESYSTEM"], backup["MULTI_SUBTREE_NAMES"]) == ("/vs1/vol1/a", "file\n.")
    assert backup["UPDATE"] == "N"
    assert plan.names == (Name(original_path="/file", destination_path=target),)


def test_volumes_are_no_files_and_files_have_no_increments() -> None:
    assert plan_file_copy(order("/vs1/vol1"), (AddrType.TCP,)) is None
    assert plan_file_copy(order(level=1), (AddrType.TCP,)) is None
