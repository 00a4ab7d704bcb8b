"""Every condition of a device has a code on the wire."""

from __future__ import annotations

import pytest

from tapekit.hookspecs.tape_driver import Condition
from tapekit_ndmp_v4.conditions import NDMP_ERRORS
from tapekit_ndmp_v4.numbers import NdmpError


@pytest.mark.parametrize("condition", Condition, ids=lambda condition: condition.name)
def test_no_condition_is_without_a_code(condition: Condition) -> None:
    assert NDMP_ERRORS[condition] is not NdmpError.NO_ERR


def test_only_marks_and_ends_look_like_marks_and_ends() -> None:
    found = {condition for condition, code in NDMP_ERRORS.items() if code is NdmpError.EOM_ERR}
    assert found == {Condition.END_OF_DATA, Condition.EARLY_WARNING}
    assert NDMP_ERRORS[Condition.FILEMARK] is NdmpError.EOF_ERR
    assert NDMP_ERRORS[Condition.TIMEOUT] is NdmpError.TIMEOUT_ERR
