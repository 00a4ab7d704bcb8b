"""The TLS transport as the kernel sees it."""

from __future__ import annotations

import stat
import tomllib
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio

from tapekit.errors import TapekitError
from tapekit.hookspecs.lifecycle import InitSite
from tapekit.kernel.memory_state import MemoryStateStore
from tapekit_transport_tls.certificates import facts_of
from tapekit_transport_tls.plugin import TransportTlsPlugin
from tapekit_transport_tls.settings import TransportTlsSettings

if TYPE_CHECKING:
    from pathlib import Path


def kernel(folder: Path) -> Any:
    return SimpleNamespace(
        base_directory=folder, node_name="node1", state=MemoryStateStore(), storage=None
    )


@pytest.mark.requirement("R184")
async def test_secure_connections_are_off_until_an_svm_is_named(tmp_path: Path) -> None:
    plugin = TransportTlsPlugin(TransportTlsSettings())
    plugin.tapekit_on_assembled(kernel(tmp_path))
    (transport,) = plugin.tapekit_register_control_transports()
    assert transport.name == "tls"
    async with trio.open_nursery() as nursery:
        # There is no certificate, and nobody misses it.
        assert await nursery.start(transport.serve, trio.sleep) == ()
        assert plugin.tapekit_provide_secure_control().addresses == []
        nursery.cancel_scope.cancel()
    plugin = TransportTlsPlugin(TransportTlsSettings(svms=("vs1",)))
    assert plugin.tapekit_provide_secure_control().is_on("vs1")
    assert not plugin.tapekit_provide_secure_control().is_on("vs2")


@pytest.mark.requirement("R183")
@pytest.mark.requirement("R184")
def test_a_new_site_has_a_certificate_and_the_service_off(tmp_path: Path) -> None:
    site = InitSite(tmp_path, "192.0.2.7", 10000)
    part = TransportTlsPlugin.init_part(site)
    settings = msgspec.convert(tomllib.loads(part.settings), TransportTlsSettings)
    assert (settings.svms, settings.listen) == ((), ("192.0.2.7:30000",))
    file = tmp_path / settings.certificate
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "192.0.2.7" in facts_of(file.read_bytes(), file).names
    before = file.read_bytes()
    assert len(part.created) == 1
    assert TransportTlsPlugin.init_part(site).created == ()
    assert file.read_bytes() == before


def test_addresses_are_judged_when_the_stack_is_assembled(tmp_path: Path) -> None:
    for listen in ((), ("30000",)):
        plugin = TransportTlsPlugin(TransportTlsSettings(listen=listen))
        with pytest.raises(TapekitError):
            plugin.tapekit_on_assembled(kernel(tmp_path))


async def test_a_missing_certificate_stops_the_start_and_not_the_assembly(tmp_path: Path) -> None:
    plugin = TransportTlsPlugin(TransportTlsSettings(svms=("*",), listen=("127.0.0.1:0",)))
    plugin.tapekit_on_assembled(kernel(tmp_path))
    (transport,) = plugin.tapekit_register_control_transports()

    async def nobody(_stream: object) -> None:
        raise AssertionError("there is no listener")

    with pytest.raises(TapekitError, match=r"ndmps\.pem") as refused:
        await transport.serve(nobody, trio.TASK_STATUS_IGNORED)
    assert refused.value.id == "transport_tls.file-unreadable"


@pytest.mark.parametrize(
    "table",
    [
        {"svm": ["vs1"]},
        {"svms": "vs1"},
        {"handshake_timeout_s": 0},
        {"handshakes": 0},
        {"keepalive_s": -1},
        {"private_data": False, "require_private_data": True},
    ],
)
def test_values_out_of_range_are_refused(table: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(table, TransportTlsSettings, strict=True)
