"""Who answers to tapekit_provide_secure_control."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tapekit.errors import TapekitError
from tapekit_ndmp_v4.hookspecs import tapekit_provide_secure_control
from tapekit_ndmp_v4.secure_control import the_one


def test_nobody_or_one_plugin_switches_secure_connections() -> None:
    assert tapekit_provide_secure_control.__doc__
    switch = SimpleNamespace(addresses=())
    assert the_one([]) is None
    assert the_one([("transport_tls", switch)]) is switch


def test_two_plugins_stop_the_start() -> None:
    with pytest.raises(TapekitError) as refused:
        the_one([("one", object()), ("other", object())])
    assert refused.value.id == "core.duplicate-provider"
    assert "one" in str(refused.value)
