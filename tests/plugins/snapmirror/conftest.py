"""Fixtures: the two volumes of a relationship."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from tests.plugins.snapmirror.mirror_site import MirrorSite

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path) -> Iterator[MirrorSite]:
    """A stack that does not serve."""
    with closing(MirrorSite(tmp_path)) as site:
        yield site
