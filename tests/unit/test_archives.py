"""What an archive looks like, and where it is kept."""

from __future__ import annotations

import builtins
import gzip
import json
import stat
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.archive.directory import Directory
from hub.archive.remote import Remote
from hub.core import archives
from hub.core.errors import ArchiveUnavailable, ConfigurationError
from hub.core.ids import uuid7


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def content_of(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes())


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


LINES = [b'{"kind":"notification"}\n', b'{"kind":"item"}\n']


@pytest.mark.parametrize(
    ("text", "age"), [("90d", 90 * 86_400_000), ("36h", 36 * 3_600_000), ("12w", 84 * 86_400_000), (" 5m ", 300_000)]
)
def test_an_age(text: str, age: int) -> None:
    assert archives.parse_age(text, "--older-than") == age


@pytest.mark.parametrize("text", ["", "90", "d", "-1d", "0d", "1.5d", "90 d", "1y", "999999d", "٣d", "90d;"])
def test_no_age(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--older-than must be an age such as 90d"):
        archives.parse_age(text, "--older-than")


@given(st.integers(0, 2**48 - 2))
def test_ids_and_moments(moment: int) -> None:
    assert archives.made_at(uuid7(moment)) == moment
    assert archives.made_before(moment) <= uuid7(moment) < archives.made_before(moment + 1)


def test_a_moment_before_all_time() -> None:
    assert archives.made_before(-1) == UUID(int=0)


@pytest.mark.parametrize("tenant", ["..", ".", "a/b", "a\\b", ".hidden", "ä" * 255, "%2E", "x" * 255, "a b", "CON.txt"])
def test_a_tenants_folder_is_one_folder(tenant: str, tmp_path: Path) -> None:
    name = archives.folder_of(tenant)
    assert (tmp_path / name).resolve().parent == tmp_path.resolve()
    assert not name.startswith(".")
    (tmp_path / name).mkdir()


@given(st.text(min_size=1, max_size=255), st.text(min_size=1, max_size=255))
def test_different_tenants_have_different_folders(one: str, other: str) -> None:
    assert (archives.folder_of(one) == archives.folder_of(other)) == (one == other)


def test_a_line_is_one_line() -> None:
    line = archives.line("item", {"id": UUID(int=1), "body": "a\nb", "read_at": None, "inbox": True})
    assert (
        line
        == b'{"kind":"item","id":"00000000-0000-0000-0000-000000000001","body":"a\\nb","read_at":null,"inbox":true}\n'
    )


async def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    root = tmp_path / "to" / "archives"
    file = await Directory(root).open("a/c", "first")
    await file.write(LINES[:1])
    assert all(name.startswith(".") for name in names_in(root / "a%2Fc"))
    await file.write(LINES[1:])
    kept = Path(str(await file.keep()))
    assert kept == root / "a%2Fc" / "first.jsonl.gz"
    assert content_of(kept) == b"".join(LINES)
    assert mode_of(kept) == 0o600
    assert mode_of(kept.parent) == 0o700
    assert names_in(kept.parent) == [kept.name]


async def test_no_file_is_ever_replaced(tmp_path: Path) -> None:
    names = []
    for line in (b"1\n", b"2\n", b"3\n"):
        file = await Directory(tmp_path).open("acme", "first")
        await file.write([line])
        names.append(Path(str(await file.keep())))
    assert [name.name for name in names] == ["first.jsonl.gz", "first-2.jsonl.gz", "first-3.jsonl.gz"]
    assert [content_of(name) for name in names] == [b"1\n", b"2\n", b"3\n"]


async def test_no_file_is_replaced_where_there_are_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", link)
    await test_no_file_is_ever_replaced(tmp_path)


async def test_what_is_discarded_leaves_nothing(tmp_path: Path) -> None:
    file = await Directory(tmp_path).open("acme", "first")
    await file.write(LINES)
    await file.discard()
    assert names_in(tmp_path / "acme") == []


async def test_a_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = await Directory(tmp_path).open("acme", "first")
    await file.write(LINES)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ArchiveUnavailable, match=r"No space left on device.*still in the database"):
        await file.keep()
    await file.discard()
    assert names_in(tmp_path / "acme") == []


def test_a_directory_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be written to"):
        Directory(tmp_path / "file" / "below")


async def test_by_fsspec(tmp_path: Path) -> None:
    for number, line in enumerate((b"1\n", b"2\n")):
        file = await Remote(f"file://{tmp_path}/bucket").open("a/c", "first")
        await file.write([line])
        suffix = "-2" if number else ""
        assert await file.keep() == f"file://{tmp_path}/bucket/a%2Fc/first{suffix}.jsonl.gz"
        assert gzip.decompress((tmp_path / f"bucket/a%2Fc/first{suffix}.jsonl.gz").read_bytes()) == line
    assert len(names_in(tmp_path / "bucket" / "a%2Fc")) == 2, "nothing unfinished is left"


async def test_what_has_not_arrived_whole_is_no_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = await Remote(f"file://{tmp_path}").open("acme", "first")
    await file.write(LINES)
    monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.size", lambda *_: 3)
    with pytest.raises(ArchiveUnavailable, match="not all of it has arrived"):
        await file.keep()
    assert all(name.startswith(".") for name in names_in(tmp_path / "acme"))
    await file.discard()


def test_without_fsspec(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "fsspec":
            raise ImportError(name)
        return imported(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigurationError, match=r"pip install 'bellwire\[archive\]'"):
        Remote("s3://bucket/path")


@pytest.mark.parametrize(("url", "message"), [("s3://bucket/path", "s3fs"), ("gopher://x", "gopher")])
def test_a_kind_of_url_that_needs_more(url: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Remote(url)


def test_digests_tell_rows_apart() -> None:
    one, other = UUID(int=1), UUID(int=2)
    before = archives.digests({one: LINES, other: LINES[:1]})
    assert before[one] != before[other]
    assert archives.digests({one: list(LINES)}) == {one: before[one]}
    assert json.loads(LINES[0])
