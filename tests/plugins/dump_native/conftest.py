"""The native loops, where they could be compiled, and both kinds side by side."""

from __future__ import annotations

import pytest

from tapekit_dump_native.library import is_built, load
from tapekit_dump_native.loops import NativeLoops


@pytest.fixture(scope="session")
def loops() -> NativeLoops:
    if not is_built():
        pytest.skip("the library is not built: no C compiler when tapekit was installed")
    return NativeLoops(load())
