"""LIFs of the stack file, by address."""

from __future__ import annotations

import pytest

from tapekit.errors import TapekitError
from tapekit_cluster.interfaces import interfaces_of, numeric
from tapekit_cluster.settings import ClusterSettings, Lif


def settings(*lifs: Lif) -> ClusterSettings:
    return ClusterSettings(lif=lifs)


def mgmt(name: str = "mgmt", *addresses: str) -> Lif:
    return Lif(name=name, role="node-mgmt", addresses=addresses or ("192.0.2.1",))


@pytest.mark.parametrize(
    "host", ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "2001:DB8:0::1", "2001:db8::1%eth0"]
)
def test_each_way_to_write_an_address_finds_its_lif(host: str) -> None:
    found = interfaces_of(settings(mgmt("mgmt", "192.0.2.1", "2001:db8:0:0::1")))
    assert found[numeric(host)].name == "mgmt"


@pytest.mark.parametrize(
    ("lifs", "row"),
    [
        ((mgmt(), mgmt("mgmt", "192.0.2.2")), "lif-twice"),
        ((mgmt(), mgmt("other")), "address-twice"),
        ((mgmt("mgmt", "node1.example"),), "bad-address"),
        ((mgmt("mgmt", "192.0.2.1:10000"),), "bad-address"),
        ((Lif(name="d", role="data", addresses=("192.0.2.1",)),), "svm-of-lif"),
        ((Lif(name="m", role="node-mgmt", svm="vs1", addresses=("192.0.2.1",)),), "svm-of-lif"),
    ],
)
def test_a_stack_file_that_contradicts_itself_is_refused(lifs: tuple[Lif, ...], row: str) -> None:
    with pytest.raises(TapekitError) as caught:
        interfaces_of(settings(*lifs))
    assert caught.value.id == f"cluster.{row}"
