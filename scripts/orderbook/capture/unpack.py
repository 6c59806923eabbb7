"""Files packed as gz, zst or zip of one file, or plain: their bytes in pieces, of damaged ones all before the fault."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import zstandard
from isal import igzip_lib, isal_zlib

from scripts.lib.errors import InputError
from scripts.lib.progress import Progress

PIECE = 65_536  # bytes read at once
STEP = 512  # bytes read at once of a file that turned out to be damaged
BLOCK = 1 << 20  # bytes of text scanned at once: with what is found there it fits into a core's cache


class Damaged(Exception):
    """Packed data that cannot be read on."""


def read_pieces(path: Path, progress: Progress) -> Iterator[bytes]:
    """The bytes of a file, unpacked, in pieces of any size.

    Raises:
        Damaged: after what could be read.
        InputError: the file cannot be opened.
    """
    try:
        yield from _unpacked(path, progress)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None


def _unpacked(path: Path, progress: Progress) -> Iterator[bytes]:
    """Pieces of at most BLOCK bytes of a file's text, decompressed by the name's suffix.

    Raises:
        Damaged: after what could be read.
    """
    if path.suffix == ".gz":
        pieces = _gunzipped(path, _read(path, PIECE, progress))
    elif path.suffix == ".zst":
        pieces = _decompressed(
            _read(path, PIECE, progress), lambda: zstandard.ZstdDecompressor().decompressobj(), "zstd"
        )
    elif path.suffix == ".zip":
        pieces = _unzipped(path, progress)
    else:
        pieces = _read(path, PIECE, progress)
    for piece in pieces:  # a packed one may hold a thousand times as much, and blocks must not
        for at in range(0, len(piece), BLOCK):
            yield piece[at : at + BLOCK]


def _read(path: Path, step: int, progress: Progress | None = None) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(step):
            yield piece
            if progress:
                progress.advance(len(piece))


def _gunzipped(path: Path, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Decompress with ISA-L; what that cannot, by zlib in small steps from the beginning: all that lies before a fault.

    ISA-L is four times as fast, but of the piece with the fault it gives nothing.
    """
    given = 0
    try:
        for text in _decompressed(pieces, lambda: isal_zlib.decompressobj(wbits=31), "gzip"):
            given += len(text)
            yield text
    except Damaged:
        for text in _decompressed(_read(path, STEP), lambda: zlib.decompressobj(wbits=31), "gzip"):
            yield text[given:]
            given = max(given - len(text), 0)


def _unzipped(path: Path, progress: Progress) -> Iterator[bytes]:
    """The one file of an archive, as venues offer them for download.

    Raises:
        InputError: it holds none or several.
        Damaged: after what could be read; without its end an archive cannot be read at all.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if len(members) != 1:
                raise InputError(f"{path}: an archive of {len(members)} files instead of one")
            with archive.open(members[0]) as member:
                while piece := member.read(PIECE):
                    yield piece
            progress.advance(file.seek(0, os.SEEK_END))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise Damaged(f"zip data damaged or cut short ({error})") from None


def _decompressed(pieces: Iterator[bytes], start: Callable[[], Any], name: str) -> Iterator[bytes]:
    """Decompress members one after another, as `cat a.gz b.gz` makes them."""
    stream: Any = None
    for piece in pieces:
        rest = piece
        while rest:
            if stream is None or stream.eof:
                rest = rest.lstrip(b"\0") if stream else rest  # tapes and some tools pad with zeros
                if not rest:
                    break
                stream = start()
            try:
                yield stream.decompress(rest)
            except (igzip_lib.IsalError, zlib.error, zstandard.ZstdError) as error:  # type: ignore[misc]
                raise Damaged(f"{name} data damaged or cut short ({error})") from None
            rest = stream.unused_data if stream.eof else b""
    if stream and not stream.eof:
        raise Damaged(f"{name} data damaged or cut short (the end is missing)")
