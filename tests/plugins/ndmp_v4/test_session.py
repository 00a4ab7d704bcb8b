"""Who may log in at all, and what a session offers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tapekit.hookspecs.authentication import AuthMethod
from tapekit.hookspecs.transport import Endpoint
from tapekit_ndmp_v4.session import offered_methods

OPEN: Any = SimpleNamespace(authenticator=None)
GUARDED: Any = SimpleNamespace(
    authenticator=SimpleNamespace(methods=frozenset({AuthMethod.CHALLENGE}))
)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1"])
def test_without_authentication_loopback_needs_no_login(host: str) -> None:
    assert offered_methods(OPEN, Endpoint(host, 1)) == {AuthMethod.NONE}


@pytest.mark.parametrize("host", ["10.0.0.1", "192.0.2.1", "fe80::1%eth0", "2001:db8::1"])
def test_without_authentication_nobody_else_gets_in(host: str) -> None:
    assert offered_methods(OPEN, Endpoint(host, 1)) == frozenset()


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1"])
def test_with_authentication_its_methods_are_offered_everywhere(host: str) -> None:
    assert offered_methods(GUARDED, Endpoint(host, 1)) == {AuthMethod.CHALLENGE}
