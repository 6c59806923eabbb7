"""Downloads that survive what networks do, with digests: the file behind a URL, fetched once and kept.

`obtain` keeps a file in a store that no rule declares, so that a job that runs again, say since code has changed,
proves the file by its digest instead of fetching it again. What was received before a cut connection or a kill is kept
too: the next attempt asks for the rest (RFC 9110, Range and If-Range), and begins anew where the server has another
file now.

requests carries the HTTP. pooch, which would check digests, fetches a file whole or not at all and tries again from
its beginning: no match for files of gigabytes, so the digests are checked here.
"""

from __future__ import annotations

import email.utils
import fcntl
import hashlib
import json
import re
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import urllib3

from scripts.lib.errors import InputError
from scripts.lib.joblog import log
from scripts.lib.outputs import flush, replace
from scripts.lib.progress import Progress

CHUNK = 1 << 20  # bytes
LATER = {408, 425, 429, 500, 502, 503, 504}  # HTTP statuses after which the same request may succeed
LONGEST_ASKED_WAIT = 600.0  # seconds: a server that asks for more (Retry-After) is asked sooner


@dataclass(frozen=True)
class Patience:
    """How long a download goes on without getting further."""

    attempts: int = 10
    """Attempts in a row that bring nothing new."""
    first_wait: float = 1.0
    """Wait after the first of them, seconds; each further one waits twice as long."""
    longest_wait: float = 120.0
    """Longest wait, seconds."""
    silence: float = 60.0
    """Time without a byte after which a connection counts as dead, seconds."""


class Refused(InputError):
    """The server's answer is final; `status` is its HTTP status."""

    def __init__(self, url: str, status: int, reason: str) -> None:
        super().__init__(f"{url}: HTTP {status} {reason}".rstrip())
        self.status = status


class Interrupted(Exception):
    """An attempt failed in a way that the next one may not; `wait` is what the server asks for, seconds."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


def obtain(
    url: str, kept: Path, expected: str | None = None, headers: Mapping[str, str] | None = None,
    patience: Patience | None = None,
) -> str:  # fmt: skip
    """Have the file of a URL at `kept`, fetched if it is not there, and proven by its digest.

    The digest of the first download is recorded beside it, as sha256sum writes it: should the file be fetched once
    more, it must be the same.

    Args:
        url: where the file is.
        kept: where it is kept; `.part`, `.part.json`, `.sha256` and `.lock` beside it are ours.
        expected: its sha256 in hex where it is known beforehand.
        headers: of the request, such as an API key; they are never logged.
        patience: how long to go on.

    Returns:
        sha256 in hex.

    Raises:
        InputError: the server refuses, does not get on, or has another file; one line with the URL.
    """
    kept.parent.mkdir(parents=True, exist_ok=True)
    with _alone(_beside(kept, ".lock")):
        if kept.exists() and (digest := _proven(kept, expected)):
            return digest
        return _download(url, kept, expected, headers or {}, patience or Patience())


def recorded(kept: Path) -> str | None:
    """The digest of the first download, where there is a record."""
    with suppress(FileNotFoundError):
        return _beside(kept, ".sha256").read_text(encoding="utf-8").split()[0]
    return None


def _proven(kept: Path, expected: str | None) -> str | None:
    """The digest of a file that is there; None if it is not what was fetched."""
    digest, before = inspect(kept), recorded(kept)
    if digest and digest == (expected or before or digest):
        return digest
    if digest and digest == before:
        raise InputError(f"{kept}: sha256 is {digest}, not {expected} as pinned")
    log.warning("%s has changed since it was fetched: fetching it again", kept)
    kept.unlink()
    return None


def _download(url: str, kept: Path, expected: str | None, headers: Mapping[str, str], patience: Patience) -> str:
    part = _beside(kept, ".part")
    resumed = part.exists()
    receive(url, part, headers, patience)
    digest, wanted = inspect(part), expected or recorded(kept)
    if resumed and (digest is None or digest != (wanted or digest)):
        log.warning("%s: its two halves do not fit together: fetching it from the beginning", url)
        _forget(part)
        receive(url, part, headers, patience)
        digest = inspect(part)
    if digest is None:
        _forget(part)
        raise InputError(f"{url}: what the server sends is no whole gzip file")
    if digest != (wanted or digest):
        _forget(part)
        raise InputError(f"{url}: sha256 is {digest}, not {wanted} as {_pinned_where(kept, expected)}")
    _beside(kept, ".sha256").write_text(f"{digest}  {kept.name}\n", encoding="utf-8")
    flush(part)
    replace(part, kept)
    _forget(part)
    return digest


def _pinned_where(kept: Path, expected: str | None) -> str:
    record = _beside(kept, ".sha256")
    return "pinned" if expected else f"when it was first fetched (remove {record} to take the new one)"


def receive(url: str, part: Path, headers: Mapping[str, str], patience: Patience) -> None:
    """Download to `part`, going on behind what is there already, until the file is whole.

    Raises:
        InputError: the server refuses (`Refused`), or attempt after attempt brings nothing new.
    """
    furthest, failures = _size(part), 0
    with Progress("fetch", 0, "B") as progress, requests.Session() as session:
        while True:
            try:
                _attempt(session, url, part, headers, patience.silence, progress)
            except Interrupted as error:
                failures = 1 if _size(part) > furthest else failures + 1
                furthest = max(furthest, _size(part))
                if failures >= patience.attempts:
                    raise InputError(f"{url}: {error} ({failures} attempts in a row without progress)") from None
                wait = max(error.wait, min(patience.first_wait * 2 ** (failures - 1), patience.longest_wait))
                log.warning("%s: %s; going on in %.0f s", url, error, wait)
                time.sleep(wait)
            else:
                return


def _attempt(
    session: requests.Session, url: str, part: Path, headers: Mapping[str, str], silence: float, progress: Progress
) -> None:
    """One request: the whole file, or what is still missing of it."""
    have, known = _resumable(url, part)
    if have and have == known["total"]:
        return
    # a file that is packed must come as it is: some servers unpack it for those who do not say that they can
    asked = {**headers, "Accept-Encoding": "gzip" if url.endswith(".gz") else "identity"}
    if have:
        asked |= {"Range": f"bytes={have}-", "If-Range": known["validator"]}
    try:
        with session.get(url, headers=asked, stream=True, timeout=silence) as response:
            if response.status_code == 416 and have:
                _forget(part)
                raise Interrupted("another file is there now than was begun")
            start, total = _judge(response, url, have, known["total"])
            if start == 0:
                _note(url, part, response, total)
            _store(response, part, start, total, progress)
    except (requests.Timeout, urllib3.exceptions.ReadTimeoutError):
        raise Interrupted(f"no byte came for {silence:.0f} s") from None
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError, urllib3.exceptions.HTTPError) as error:
        raise Interrupted(f"the connection broke: {_reason(error)}") from None
    except requests.RequestException as error:
        raise InputError(f"{url}: {_reason(error)}") from None
    except OSError as error:
        raise InputError(f"{part}: cannot be written: {error.strerror or error}") from None
    if total is not None and _size(part) != total:
        raise Interrupted(f"the connection was cut at {_size(part)} of {total} bytes")


def _judge(response: requests.Response, url: str, have: int, total: int | None) -> tuple[int, int | None]:
    """Where the bytes of an answer begin, and how many the whole file has, if the server tells."""
    status = response.status_code
    if status == 200:
        length = response.headers.get("Content-Length", "")
        return 0, int(length) if length.isdigit() else None
    if status == 206 and have:
        told = response.headers.get("Content-Range", "")
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", told)
        if match and int(match[1]) == have and int(match[2]) == (total or int(match[2])):
            return have, int(match[2])
        raise Refused(url, status, f"with Content-Range '{told}' for the bytes from {have} on")
    if status in LATER:
        raise Interrupted(f"HTTP {status} {response.reason}", _asked_wait(response.headers.get("Retry-After", "")))
    raise Refused(url, status, response.reason or "")


def _asked_wait(text: str) -> float:
    """Seconds of a Retry-After header: a number, or a date."""
    if text.strip().isdigit():
        seconds = float(text)
    else:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except ValueError:
            seconds = 0.0
    return min(max(seconds, 0.0), LONGEST_ASKED_WAIT)


def _store(response: requests.Response, part: Path, start: int, total: int | None, progress: Progress) -> None:
    """Write the bytes as they came over the wire."""
    progress.total = progress.done + (total or 0) - start
    with part.open("r+b" if start else "wb") as file:
        file.seek(start)
        for piece in response.raw.stream(CHUNK, decode_content=False):
            file.write(piece)
            if total is not None:
                progress.advance(len(piece))


def _note(url: str, part: Path, response: requests.Response, total: int | None) -> None:
    """Remember of what file the bytes to come are the beginning."""
    etag = response.headers.get("ETag", "")
    validator = etag if etag.startswith('"') else response.headers.get("Last-Modified", "")  # W/… is no good here
    part.unlink(missing_ok=True)
    notes = {"url": url, "validator": validator, "total": total}
    _notes(part).write_text(json.dumps(notes), encoding="utf-8")


def _resumable(url: str, part: Path) -> tuple[int, dict[str, Any]]:
    """How many bytes there are to go on behind, and what is known of the file."""
    try:
        known = json.loads(_notes(part).read_text(encoding="utf-8"))
        if known["url"] == url and known["validator"]:
            return _size(part), known
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return 0, {"total": None}


def _reason(error: BaseException) -> str:
    """What went wrong, out of the nested errors of requests and urllib3."""
    while True:
        inner = getattr(error, "reason", None) or next(
            (argument for argument in reversed(error.args) if isinstance(argument, BaseException)), None
        )
        if not isinstance(inner, BaseException):
            return " ".join(str(error).split()) or type(error).__name__
        error = inner


def inspect(path: Path) -> str | None:
    """sha256 of a file; None if it is called .gz (its marks .part set aside) and is no whole gzip file."""
    digest, packed = hashlib.sha256(), path.name.removesuffix(".part").endswith(".gz")
    gzip = Gzip()
    with Progress("verify", _size(path), "B") as progress, path.open("rb") as file:
        while piece := file.read(CHUNK):
            digest.update(piece)
            if packed and not gzip.takes(piece):
                return None
            progress.advance(len(piece))
    return digest.hexdigest() if gzip.whole or not packed else None


class Gzip:
    """Unpacks gzip members one after another, to see that they are whole: each ends with a checksum."""

    def __init__(self) -> None:
        self.whole = False
        self._stream = zlib.decompressobj(wbits=31)

    def takes(self, piece: bytes) -> bool:
        """Whether the members are good so far."""
        try:
            while piece:
                if self._stream.eof:
                    self._stream = zlib.decompressobj(wbits=31)
                self._stream.decompress(piece, CHUNK)
                piece = self._stream.unconsumed_tail or self._stream.unused_data
        except zlib.error:
            return False
        self.whole = self._stream.eof
        return True


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock, which a killed process leaves by itself."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("waiting for another process that fetches %s", path.with_suffix(""))
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _notes(part: Path) -> Path:
    return _beside(part, ".json")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _notes(part).unlink(missing_ok=True)
