"""The name service of this machine."""

from __future__ import annotations

import pwd

import pytest

from tapekit_auth.name_service import MachineNames


@pytest.mark.requirement("R178")
def test_users_of_the_machine_are_known() -> None:
    names = MachineNames()
    known = pwd.getpwall()[0].pw_name
    mark = names.mark(known)
    assert mark is not None
    assert len(mark) == 32
    assert mark == MachineNames().mark(known)


def test_nobody_else_is() -> None:
    assert MachineNames().mark("tapekit-no-such-user") is None
