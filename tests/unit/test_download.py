"""Downloads through cut connections, refusals and changed files, from a server on this machine."""

from __future__ import annotations

import gzip
import hashlib
import multiprocessing
import os
import random
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.lib import download
from scripts.lib.download import Patience, Refused, obtain, recorded
from scripts.lib.errors import InputError
from tests.unit.file_server import Script, serving

HASTY = Patience(attempts=4, first_wait=0.001, longest_wait=0.002, silence=5.0)


def packed(seed: int = 0, size: int = 200_000) -> bytes:
    """A gzip file of random bytes, so that packing does not shorten it."""
    return gzip.compress(random.Random(seed).randbytes(size), 1, mtime=0)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def fetch(script: Script, kept: Path, expected: str | None = None, patience: Patience = HASTY) -> str:
    with serving(script) as base:
        return obtain(f"{base}/day.csv.gz", kept, expected, patience=patience)


def error_of(script: Script, kept: Path, expected: str | None = None, patience: Patience = HASTY) -> str:
    with pytest.raises(InputError) as error:
        fetch(script, kept, expected, patience)
    assert "\n" not in str(error.value)
    assert not kept.exists()
    return str(error.value)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "store" / "day.csv.gz"


def test_a_file_is_fetched_once_and_proven_afterwards(kept: Path) -> None:
    script = Script(packed())
    assert fetch(script, kept) == sha256(script.content) == recorded(kept)
    assert kept.read_bytes() == script.content
    assert fetch(script, kept) == sha256(script.content)
    assert len(script.asked) == 1
    assert sorted(path.name for path in kept.parent.iterdir()) == [
        "day.csv.gz", "day.csv.gz.lock", "day.csv.gz.sha256",
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(10))
def test_cut_connections_are_gone_on_with_where_they_ended(kept: Path, seed: int) -> None:
    content, chosen = packed(seed), random.Random(seed)
    cuts = [chosen.randrange(1, 60_000) for _ in range(3)]
    script = Script(content, cut=lambda number: cuts[number] if number < 3 else None)
    assert fetch(script, kept) == sha256(content)
    starts = [int(asked.get("range", "bytes=0-").removeprefix("bytes=")[:-1]) for asked in script.asked]
    assert starts == [0, cuts[0], cuts[0] + cuts[1], sum(cuts)]
    assert all(asked.get("if-range") == '"one"' for asked in script.asked[1:])


def test_progress_between_failures_renews_patience(kept: Path) -> None:
    content = packed()
    script = Script(content, cut=lambda number: 9_000)
    assert fetch(script, kept) == sha256(content)
    assert len(script.asked) > 5 * HASTY.attempts


@pytest.mark.parametrize("change", [{"ranges": False}, {"etag": None}, {"etag": 'W/"weak"'}])
def test_a_server_without_ranges_is_asked_for_the_whole_again(kept: Path, change: dict[str, object]) -> None:
    script = replace(Script(packed(), cut=lambda number: 5_000 if number < 2 else None), **change)  # type: ignore[arg-type]
    assert fetch(script, kept) == sha256(script.content)
    assert len(script.asked) == 3


def test_a_server_that_always_cuts_at_the_same_place_is_given_up(kept: Path) -> None:
    script = Script(packed(), ranges=False, cut=lambda number: 5_000)
    text = error_of(script, kept)
    assert "the connection broke" in text
    assert "4 attempts in a row without progress" in text
    assert len(script.asked) == HASTY.attempts


def test_another_file_on_the_server_is_fetched_from_its_beginning(kept: Path) -> None:
    old, new = packed(1), packed(2)
    with pytest.raises(InputError):
        fetch(Script(old, cut=lambda number: 70_000 if number == 0 else 0), kept)
    assert fetch(Script(new, etag='"two"'), kept) == sha256(new)
    assert kept.read_bytes() == new


def test_a_part_that_is_longer_than_the_file_is_dropped(kept: Path) -> None:
    short = packed(3, 1_000)
    script = Script(short)
    with serving(script) as base:
        url = f"{base}/day.csv.gz"
        kept.parent.mkdir()
        part = kept.with_name("day.csv.gz.part")
        part.write_bytes(bytes(9_000))
        part.with_name("day.csv.gz.part.json").write_text(
            f'{{"url": "{url}", "validator": "\\"one\\"", "total": 20000}}'
        )
        assert obtain(url, kept, patience=HASTY) == sha256(short)


@pytest.mark.parametrize("validator", [None, "junk"])
def test_a_part_of_unknown_origin_is_not_gone_on_with(kept: Path, validator: str | None) -> None:
    kept.parent.mkdir()
    kept.with_name("day.csv.gz.part").write_bytes(b"something else")
    if validator:
        kept.with_name("day.csv.gz.part.json").write_text(validator)
    script = Script(packed())
    assert fetch(script, kept) == sha256(script.content)
    assert "range" not in script.asked[0]


def test_halves_that_do_not_fit_are_fetched_again_as_a_whole(kept: Path) -> None:
    """A power cut may leave zeros where bytes should be."""
    script = Script(packed(), cut=lambda number: 50_000 if number == 0 else 0)
    with serving(script) as base:
        url = f"{base}/day.csv.gz"
        with pytest.raises(InputError):
            obtain(url, kept, patience=HASTY)
        part = kept.with_name("day.csv.gz.part")
        part.write_bytes(bytes(len(part.read_bytes())))
        script.cut = lambda number: None
        assert obtain(url, kept, patience=HASTY) == sha256(script.content)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 501])
def test_a_refusal_is_one_line_with_status_and_url_at_once(kept: Path, status: int) -> None:
    script = Script(packed(), status=lambda number: status)
    with serving(script) as base, pytest.raises(Refused, match=f"{base}/day.csv.gz: HTTP {status} ") as error:
        obtain(f"{base}/day.csv.gz", kept, patience=HASTY)
    assert error.value.status == status
    assert len(script.asked) == 1
    assert not list(kept.parent.glob("*.part*"))


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(kept: Path, status: int) -> None:
    script = Script(packed(), status=lambda number: status if number in (0, 1) else 200)
    assert fetch(script, kept) == sha256(script.content)
    assert len(script.asked) == 3


def test_a_server_that_stays_busy_is_given_up_with_its_status(kept: Path) -> None:
    text = error_of(Script(packed(), status=lambda number: 503), kept)
    assert "/day.csv.gz: HTTP 503" in text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7.0), ("0", 0.0), ("junk", 0.0), ("", 0.0), ("99999", 600.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0)],
)
def test_the_wait_that_a_server_asks_for(
    kept: Path, monkeypatch: pytest.MonkeyPatch, text: str, seconds: float
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    headers = {"Retry-After": text} if text else {}
    script = Script(packed(), status=lambda number: 429 if number == 0 else 200, headers=headers)
    fetch(script, kept)
    assert waits[0] == pytest.approx(max(seconds, HASTY.first_wait))


def test_waits_grow_up_to_the_longest(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    error_of(Script(packed(), status=lambda number: 500), kept, patience=Patience(7, 1.0, 10.0))
    assert waits == [1, 2, 4, 8, 10, 10]


def test_a_dead_connection_is_noticed(kept: Path) -> None:
    text = error_of(Script(packed(), pause=3.0), kept, patience=replace(HASTY, attempts=2, silence=0.2))
    assert "no byte came for 0 s" in text


def test_a_server_that_is_not_there_is_one_line(kept: Path) -> None:
    with serving(Script(b"")) as base:
        pass
    with pytest.raises(InputError) as error:
        obtain(f"{base}/day.csv.gz", kept, patience=HASTY)
    assert "Connection refused" in str(error.value)
    assert str(error.value).startswith(f"{base}/day.csv.gz: ")


def test_a_wrong_digest_names_both_and_keeps_nothing(kept: Path) -> None:
    content = packed()
    text = error_of(Script(content), kept, expected="0" * 64)
    assert f"sha256 is {sha256(content)}, not {'0' * 64} as pinned" in text
    assert [path.name for path in kept.parent.iterdir()] == ["day.csv.gz.lock"]


def test_a_file_that_changed_since_its_first_download_is_told(kept: Path) -> None:
    first, second = packed(1), packed(2)
    fetch(Script(first), kept)
    kept.unlink()
    text = error_of(Script(second), kept)
    assert f"sha256 is {sha256(second)}, not {sha256(first)} as when it was first fetched (remove" in text
    assert fetch(Script(first), kept) == sha256(first)


def test_a_pin_that_comes_later_is_checked_against_what_is_kept(kept: Path) -> None:
    script = Script(packed())
    digest = fetch(script, kept)
    assert fetch(script, kept, expected=digest) == digest
    with pytest.raises(InputError, match="as pinned"):
        fetch(script, kept, expected="0" * 64)
    assert kept.exists()
    assert len(script.asked) == 1


@pytest.mark.parametrize("expected", [False, True])
def test_a_file_damaged_on_the_disk_is_fetched_again(kept: Path, expected: bool) -> None:
    script = Script(packed())
    digest = fetch(script, kept)
    for damaged in (script.content[:-9], bytes(5), b""):
        kept.write_bytes(damaged)
        assert fetch(script, kept, digest if expected else None) == digest
    assert len(script.asked) == 4


@pytest.mark.parametrize("content", [b"<html>log in first</html>", packed()[:-4], b"", packed() + b"junk"])
def test_what_is_no_whole_gzip_file_is_refused(kept: Path, content: bytes) -> None:
    assert "is no whole gzip file" in error_of(Script(content), kept)


def test_a_body_cut_without_a_length_is_noticed(kept: Path) -> None:
    script = Script(packed(), sends_length=False, cut=lambda number: 70_000)
    assert "is no whole gzip file" in error_of(script, kept)


def test_two_members_are_one_gzip_file(kept: Path) -> None:
    script = Script(packed(1) + packed(2))
    assert fetch(script, kept) == sha256(script.content)


def test_packed_files_come_as_they_are(kept: Path) -> None:
    """Some servers mark a stored .gz as `Content-Encoding: gzip`, which clients unpack by themselves."""
    script = Script(packed(), headers={"Content-Encoding": "gzip"})
    fetch(script, kept)
    assert kept.read_bytes() == script.content
    assert script.asked[0]["accept-encoding"] == "gzip"


def test_a_full_disk_is_one_line(kept: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    kept.parent.mkdir()
    text = ""
    with serving(Script(packed())) as base, pytest.MonkeyPatch.context() as patched:
        patched.setattr(download, "_beside", lambda path, suffix: (
            Path("/dev/full") if suffix == ".part" else path.with_name(path.name + suffix)
        ))  # fmt: skip
        patched.setattr(download, "_note", lambda *arguments: None)
        with pytest.raises(InputError) as error:
            obtain(f"{base}/day.csv.gz", kept, patience=HASTY)
        text = str(error.value)
    assert "cannot be written: No space left" in text


def _obtain(url: str, kept: Path) -> None:
    obtain(url, kept, patience=Patience(silence=30.0))


def test_a_killed_download_goes_on_where_it_was(kept: Path) -> None:
    content = packed(0, 3 << 20)
    script = Script(content, pause=60.0)  # silent after half of it
    with serving(script) as base:
        url = f"{base}/day.csv.gz"
        process = multiprocessing.get_context("fork").Process(target=_obtain, args=(url, kept))
        process.start()
        part = kept.with_name("day.csv.gz.part")
        end = time.monotonic() + 60
        while (not part.exists() or part.stat().st_size < 1 << 20) and time.monotonic() < end:
            time.sleep(0.01)
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        assert not kept.exists()
        have = part.stat().st_size
        script.pause = 0.0
        assert obtain(url, kept, patience=HASTY) == sha256(content)
        assert script.asked[1]["range"] == f"bytes={have}-"
        assert have >= 1 << 20


def test_two_processes_fetch_a_file_once(kept: Path) -> None:
    script = Script(packed(), pause=0.5)
    with serving(script) as base:
        context = multiprocessing.get_context("fork")
        processes = [context.Process(target=_obtain, args=(f"{base}/day.csv.gz", kept)) for _ in range(3)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len(script.asked) == 1
