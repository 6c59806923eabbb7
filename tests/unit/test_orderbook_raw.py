"""Reading raw captures: blocks of whole lines, and of damaged files all that lies before the damage."""

from __future__ import annotations

import gzip
import random
import zlib
from pathlib import Path

import pytest

from scripts.orderbook.capture import raw, unpack
from scripts.orderbook.capture.raw import BadLines, read_blocks


def text_of(seed: int, lines: int) -> bytes:
    chosen = random.Random(seed)
    return b"".join(b"%d %x\n" % (i, chosen.getrandbits(chosen.randrange(1, 900))) for i in range(lines))


def read(path: Path) -> tuple[bytes, BadLines]:
    bad = BadLines(5)
    blocks = list(read_blocks([path], bad))
    assert all(block.text.endswith(b"\n") for block in blocks)
    numbers = [block.first for block in blocks]
    lines = [block.text.count(b"\n") for block in blocks]
    assert numbers == [1 + sum(lines[:i]) for i in range(len(lines))]
    return b"".join(block.text for block in blocks), bad


def readable(packed: bytearray) -> bytes:
    """What zlib gives of a file byte by byte, up to its fault."""
    stream, text = zlib.decompressobj(wbits=31), b""
    try:
        for at in range(len(packed)):
            if stream.eof:
                stream = zlib.decompressobj(wbits=31)
            text += stream.decompress(packed[at : at + 1])
    except zlib.error:
        pass
    return text


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces and blocks small enough that a short text has many."""
    monkeypatch.setattr(unpack, "PIECE", 1_500)
    monkeypatch.setattr(unpack, "STEP", 100)
    monkeypatch.setattr(unpack, "BLOCK", 4_000)
    monkeypatch.setattr(raw, "BLOCK", 4_000)
    monkeypatch.setattr(raw, "LONGEST_LINE", 30_000)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("seed", range(40))
def test_of_a_damaged_gz_all_whole_lines_before_the_fault_are_read_once(tmp_path: Path, seed: int) -> None:
    chosen, path = random.Random(seed), tmp_path / "raw.gz"
    text = text_of(seed, 200)
    packed = bytearray(gzip.compress(text[: len(text) // 2], 1) + gzip.compress(text[len(text) // 2 :], 6))
    place = chosen.randrange(10, len(packed))
    packed[place] ^= 1 << chosen.randrange(8)
    path.write_bytes(packed)
    found, bad = read(path)
    before = readable(packed)
    if bad.count:
        assert before.startswith(found)
        assert len(before) - len(found) < 1_000  # what 100 bytes unpack to, and a line
    else:  # a bit of a header that changes nothing
        assert found == text


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("seed", range(12))
def test_blocks_are_bounded_whatever_the_text(tmp_path: Path, seed: int) -> None:
    chosen, path = random.Random(seed), tmp_path / "raw.gz"
    text = b"".join(b"x" * chosen.choice([0, 1, 30, 3_000, 9_000]) + b"\n" for _ in range(60))
    path.write_bytes(gzip.compress(text))
    sizes = [len(block.text) for block in read_blocks([path], BadLines(0))]
    assert max(sizes) <= 2 * 4_000 + 9_000
    assert read(path)[0] == text


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("before", [0, 10, 3_990, 8_000])
def test_of_an_endless_line_the_beginning_is_passed_on_and_the_next_line_is_whole(tmp_path: Path, before: int) -> None:
    path = tmp_path / "raw"
    path.write_bytes(b"a" * before + b"\n" + b"b" * 50_000 + b"\nend\n")
    lines = read(path)[0].split(b"\n")
    assert lines[0] == b"a" * before
    assert set(lines[1]) == {ord("b")}
    assert 30_000 <= len(lines[1]) < 50_000
    assert lines[2:] == [b"end", b""]
