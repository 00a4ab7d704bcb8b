"""System calls on a node; what a real one answers is tested in a guest (tests/interop)."""

from __future__ import annotations

import errno
import signal
from typing import TYPE_CHECKING

import pytest

from tapekit_scsi_sg.sg_node import SgNode

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("data_out", "data_in"), [(b"", 0), (b"data", 0), (b"", 4096)])
def test_a_node_of_another_kind_takes_no_commands(data_out: bytes, data_in: int) -> None:
    node = SgNode("/dev/full")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with pytest.raises(OSError, match="No space") as caught:
        node.send(bytes(6), data_out, data_in, 1000)
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(OSError, match="ioctl"):
        node.reset()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
    node.close()


def test_a_closed_node_takes_no_commands() -> None:
    node = SgNode("/dev/null")
    node.close()
    node.close()
    with pytest.raises(OSError, match="has been closed"):
        node.send(bytes(6), b"", 0, 1000)


def test_a_node_that_is_not_there_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        SgNode(str(tmp_path / "sg0"))
