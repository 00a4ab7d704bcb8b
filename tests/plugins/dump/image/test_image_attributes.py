"""What is told of an object's attributes."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pytest
from tests.plugins.dump.nt_acls import OWNER_TEXT, SAMBA
from tests.plugins.dump.test_posix_acl import NAMED

from tapekit_dump.attributes import encode_sets, is_large_set
from tapekit_dump.dos_attributes import DosAttributes, encode_dos
from tapekit_dump.image_attributes import (
    PLAIN,
    ObjectAttributes,
    attribute_kinds,
    attribute_lines,
    read_attributes,
)
from tapekit_dump.posix_acl import ACCESS_ACL, DEFAULT_ACL, minimal_acl

if TYPE_CHECKING:
    from pathlib import Path

EVERYTHING = {
    "security.NTACL": bytes.fromhex(SAMBA[4]),
    "system.posix_acl_access": NAMED,
    "system.posix_acl_default": NAMED,
    "user.DOSATTRIB": encode_dos(DosAttributes(0x23, 1_600_000_000 * 10**9)),
    "user.DosStream.Zone.Identifier:$DATA": b"[ZoneTransfer]\0",
    "user.DosStream.long:$DATA": bytes(60001),
    "user.b\udcff\n": b"12",
}


def test_everything_is_told_as_what_it_is() -> None:
    found = read_attributes(encode_sets(EVERYTHING, directory=True)[0])
    assert found == ObjectAttributes(
        posix_acl=5,
        default_acl=5,
        nt_acl=3,
        nt_owner=OWNER_TEXT,
        dos_attributes="RHA",
        created_s=1_600_000_000.0,
        nt_streams={"Zone.Identifier": 14, "long": 60000},
        others={"user.b\\xff\\x0a": 2},
    )
    assert found.has_acl
    assert list(attribute_lines(found)) == [
        "POSIX ACL: 5 entries",
        "default POSIX ACL: 5 entries",
        f"NT ACL: 3 entries, owner {OWNER_TEXT}",
        "DOS attributes: RHA",
        "NT stream Zone.Identifier: 14 bytes",
        "NT stream long: 60000 bytes",
        "user.b\\xff\\x0a: 2 bytes",
    ]
    assert dict(attribute_kinds(found)) == {
        "NT ACL": 1,
        "POSIX ACL": 2,
        "DOS attributes": 1,
        "NT stream": 2,
        "other attribute": 1,
    }


def test_what_cannot_be_read_is_told_by_its_name() -> None:
    damaged = {"security.NTACL": b"junk", "user.DOSATTRIB": b"zebra"}
    found = read_attributes(encode_sets(damaged, directory=False)[0])
    assert found == ObjectAttributes(others={"security.NTACL": 4, "user.DOSATTRIB": 5})
    assert not found.has_acl


def test_an_object_without_attributes_is_plain() -> None:
    assert read_attributes([]) is PLAIN
    assert list(attribute_lines(PLAIN)) == []


def image_with_attributes(dump: Any) -> bytes:
    """A directory, and a file with everything that Windows keeps."""
    stream = dump().begin().directory(2, [(b"docs", 3, 4), (b"letter", 4), (b"plain", 5)])
    stream.directory(3)
    for number, attributes in ((3, {"system.posix_acl_default": NAMED}), (4, EVERYTHING)):
        if number == 4:
            stream.file(4, b"content", 0o640, uid=1000, gid=100, mtime_s=1_600_000_000)
        for blob in encode_sets(attributes, directory=False)[0]:
            stream.attributes(number, blob, attribute_kind=2 if is_large_set(blob) else 3)
    return bytes(stream.file(5, b"plain").end())


@pytest.mark.requirement("R232")
def test_a_listing_shows_acls_dos_attributes_and_streams(
    tapekit_dump: Any, image: Any, dump: Any
) -> None:
    name = image(image_with_attributes(dump))
    outcome = tapekit_dump("list", "-v", name, "letter")
    assert outcome.status == 0
    first, *rest = outcome.lines
    assert first.split() == ["-rw-r-----+", "1000/100", "7", "2020-09-13", "12:26:40Z", "letter"]
    assert rest == [
        "    created 2020-09-13 12:26:40Z",
        "    POSIX ACL: 5 entries",
        "    default POSIX ACL: 5 entries",
        f"    NT ACL: 3 entries, owner {OWNER_TEXT}",
        "    DOS attributes: RHA",
        "    NT stream Zone.Identifier: 14 bytes",
        "    NT stream long: 60000 bytes",
        "    user.b\\xff\\x0a: 2 bytes",
    ]
    docs, _, plain = tapekit_dump("list", "-l", name).lines[1:]
    assert (docs.split()[0], plain.split()[0]) == ("drwxr-xr-x+", "-rw-r--r--")


def test_json_has_the_attributes_of_each_member(tapekit_dump: Any, image: Any, dump: Any) -> None:
    rows = tapekit_dump("list", "--json", image(image_with_attributes(dump))).json
    extended = {row["path"]: row["extended"] for row in rows}
    assert extended["letter"]["nt_acl"] == 3
    assert extended["letter"]["nt_streams"] == {"Zone.Identifier": 14, "long": 60000}
    assert extended["docs"]["default_acl"] == 5
    assert extended["plain"]["others"] == {}


def test_info_counts_attributes(tapekit_dump: Any, image: Any, dump: Any) -> None:
    name = image(image_with_attributes(dump))
    assert tapekit_dump("info", "--json", name).json["attributes"] == {
        "NT ACL": 1,
        "POSIX ACL": 3,
        "DOS attributes": 1,
        "NT stream": 2,
        "other attribute": 1,
    }
    assert (
        "attributes:   1 x NT ACL, 3 x POSIX ACL, 1 x DOS attributes, 2 x NT stream,"
        " 1 x other attribute"
    ) in {" ".join(line.split(" ")) for line in tapekit_dump("info", name).lines}


@pytest.mark.skipif(os.geteuid() != 0, reason="security attributes need root")
def test_extraction_tells_by_its_status_that_an_attribute_was_refused(
    tapekit_dump: Any, image: Any, dump: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = dump().begin().directory(2, [(b"f", 3), (b"last", 4)]).file(3, b"content")
    for blob in encode_sets({"trusted.mine": b"1"}, directory=False)[0]:
        stream.attributes(3, blob)
    name = image(stream.file(4, b"last").end())
    assert tapekit_dump("extract", name, "-C", str(tmp_path / "whole")).status == 0

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "setxattr", refuse)
    outcome = tapekit_dump("extract", name, "-C", str(tmp_path / "partly"))
    assert outcome.status == 1
    assert "/f: trusted.mine could not be set: Operation not permitted" in outcome.err
    assert "Everything was extracted, but 1 attributes or names are not as they were" in outcome.err
    assert (tmp_path / "partly" / "last").read_bytes() == b"last"


def test_an_acl_that_says_what_the_mode_says_is_none() -> None:
    minimal = minimal_acl(NAMED)
    assert minimal is not None
    assert read_attributes(encode_sets({ACCESS_ACL: minimal}, directory=False)[0]) == PLAIN
    handed_down = read_attributes(encode_sets({DEFAULT_ACL: minimal}, directory=True)[0])
    assert handed_down.default_acl == 3
