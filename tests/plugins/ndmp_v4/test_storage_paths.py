"""The storage virtual machine of a path, however it is spelled."""

from __future__ import annotations

import pytest

from tapekit_ndmp_v4.storage_paths import svm_of


@pytest.mark.parametrize(
    "path", ["/vs1", "/vs1/vol1", "//vs1//vol1/", "/./vs1/vol1", "/.//./vs1/./vol1/a", "vs1/vol1"]
)
def test_every_spelling_leads_to_the_same(path: str) -> None:
    assert svm_of(path) == "vs1"


@pytest.mark.parametrize("path", ["", "/", "//", "/.", "/./", "."])
def test_a_path_to_nowhere_has_none(path: str) -> None:
    assert svm_of(path) == ""
