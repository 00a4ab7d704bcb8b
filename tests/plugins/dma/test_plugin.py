"""The plugin: its commands in a stack, and names in settings that lead nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tapekit.errors import TapekitError
from tapekit_dma.plugin import DmaPlugin
from tapekit_dma.settings import DmaSettings, JobSettings, MediaSetSettings, require_names

if TYPE_CHECKING:
    from pathlib import Path


def test_a_name_that_leads_nowhere_is_refused() -> None:
    media_set = MediaSetSettings(server="filer", barcodes=("*",))
    with pytest.raises(TapekitError, match=r"\[dma.media_sets.weekly\]: server = \"filer\""):
        require_names(DmaSettings(media_sets={"weekly": media_set}))
    job = JobSettings(server="filer", path="/vs1/vol1", media_set="weekly")
    with pytest.raises(TapekitError, match=r"\[dma.jobs.daily\]"):
        require_names(DmaSettings(jobs={"daily": job}))


def test_the_commands_have_words_of_their_own() -> None:
    groups = DmaPlugin(DmaSettings()).tapekit_register_command_groups()
    assert [group.name for group in groups] == ["backup", "restore", "catalog", "media"]


def test_a_password_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    import trio

    from tapekit_dma.sessions import Room, logged_in
    from tapekit_dma.settings import ServerSettings

    (tmp_path / "password").write_text("secret")
    (tmp_path / "password").chmod(0o644)
    server = ServerSettings(host="127.0.0.1", user="ndmp", password_file="password")
    room = Room(DmaSettings(servers={"filer": server}), tmp_path, lambda: 0.0, str)

    async def log_in() -> None:
        async with logged_in(room, "filer"):
            pass

    with pytest.raises(TapekitError, match="open to other users"):
        trio.run(log_in)
