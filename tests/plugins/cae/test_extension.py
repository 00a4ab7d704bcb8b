"""Which kinds of data connection the class brings into a session."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tapekit.hookspecs.placement import ANYWHERE
from tapekit_cae.extension import connection_address_extension
from tapekit_cae.plugin import CaePlugin
from tapekit_cae.settings import CaeSettings
from tapekit_ndmp_v4.numbers import AddrType

TCP, TCP_IPV6 = AddrType.TCP, AddrType.TCP_IPV6


@pytest.mark.requirement("R188")
def test_the_plugin_offers_class_2051_in_version_1() -> None:
    (extension,) = CaePlugin(CaeSettings()).tapekit_register_ndmp_extensions()
    assert (extension.class_id, extension.versions) == (0x2051, (1,))
    assert extension.exchanges == ()


@pytest.mark.requirement("R334")
@pytest.mark.parametrize("family", [TCP, TCP_IPV6])
def test_a_session_has_the_family_of_its_control_connection(family: AddrType) -> None:
    session: Any = SimpleNamespace(control_family=family, place=ANYWHERE)
    chosen = connection_address_extension(any_family=False).begin(session, 1)
    assert set(chosen.address_kinds()) == {family}
    assert chosen.handlers() == {}


@pytest.mark.parametrize("family", [TCP, TCP_IPV6])
def test_the_setting_lifts_the_rule_of_families(family: AddrType) -> None:
    session: Any = SimpleNamespace(control_family=family, place=ANYWHERE)
    plugin = CaePlugin(CaeSettings(any_family=True))
    (extension,) = plugin.tapekit_register_ndmp_extensions()
    assert set(extension.begin(session, 1).address_kinds()) == {TCP, TCP_IPV6}
