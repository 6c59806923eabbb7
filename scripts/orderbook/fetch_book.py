"""Fetch a day of a feed from Tardis: its file of incremental order-book updates, as it lies on the server.

The first day of each month is free; the others need an API key in the environment variable TARDIS_API_KEY.
Where the files lie: https://docs.tardis.dev/downloadable-csv-files.
"""

from __future__ import annotations

import os
import re
import shutil
from datetime import date, datetime
from pathlib import Path
from urllib.parse import quote

from scripts.lib import job
from scripts.lib.download import Patience, Refused, obtain
from scripts.lib.errors import InputError
from scripts.lib.joblog import log
from scripts.orderbook.capture.settings import API_KEY, FetchSettings

SHA256_LINE = re.compile(r"(?P<digest>[0-9a-f]{64}) [ *](?P<name>\S+)")


def main(
    raw: job.OutputFile,
    digest: job.OutputFile,
    part: str,
    store: Path,
    settings: FetchSettings,
    manifest: job.InputFile | None = None,
) -> None:
    """Fetch a day of a feed from Tardis.

    The file is kept in a store, so that it is fetched once whatever runs again; the output is a link to it. Cut
    connections are gone on with where they ended, also by the next run.

    Args:
        raw: the day's incremental_book_L2 file, .csv.gz
        digest: its sha256, as sha256sum writes it
        part: the day, YYYYMMDD (UTC)
        store: folder in which downloads are kept
        settings: exchange, symbol, where the files lie
        manifest: lines of sha256sum for PART.csv.gz; the file must be the one that is pinned there
    """
    day = parse_day(part)
    name = f"{part}.csv.gz"
    kept = store / settings.exchange / f"{file_symbol(settings.symbol)}_{name}"
    expected = pinned(manifest, name) if manifest else None
    patience = Patience(settings.attempts, settings.first_wait_s, silence=settings.silence_s)
    url = address(settings, day)
    try:
        found = obtain(url, kept, expected, credentials(day, kept), patience)
    except Refused as refused:
        raise InputError(f"{refused}{hint(refused.status, day, settings)}") from None
    link(kept, raw)
    digest.write_text(f"{found}  {name}\n", encoding="utf-8")
    log.info("%s: %d bytes, sha256 %s%s", url, raw.stat().st_size, found, "" if expected else ", not pinned")


def parse_day(part: str) -> date:
    """The day of a part's name.

    Raises:
        InputError: it is none.
    """
    try:
        if re.fullmatch("[0-9]{8}", part):
            return datetime.strptime(part, "%Y%m%d").date()
    except ValueError:
        pass
    raise InputError(f"--part: a fetched part is named by its day, YYYYMMDD, not '{part}'")


def file_symbol(symbol: str) -> str:
    """An instrument in the names of the provider's files: upper case, its slashes and colons as dashes."""
    return re.sub("[/:]", "-", symbol).upper()


def address(settings: FetchSettings, day: date) -> str:
    """URL of a day's file."""
    folder = f"{settings.base_url}/{settings.exchange}/incremental_book_L2/{day:%Y/%m/%d}"
    return f"{folder}/{quote(file_symbol(settings.symbol))}.csv.gz"


def credentials(day: date, kept: Path) -> dict[str, str]:
    """The header with the user's key, where there is one.

    Raises:
        InputError: there is none, and the day is not free.
    """
    key = os.environ.get(API_KEY)
    if not key and day.day != 1 and not kept.exists():
        raise InputError(f"{day:%Y%m%d}: only the first day of a month is free; for others set {API_KEY}")
    return {"Authorization": f"Bearer {key}"} if key else {}


def hint(status: int, day: date, settings: FetchSettings) -> str:
    """What a refusal may mean."""
    if status in (401, 403):
        return f": the key in {API_KEY} does not give access" if os.environ.get(API_KEY) else f": set {API_KEY}"
    if status in (400, 404):
        return f": is there '{settings.symbol}' at '{settings.exchange}' on {day:%Y-%m-%d}?"
    return ""


def pinned(manifest: Path, name: str) -> str | None:
    """A file's digest in a manifest, if it is named there.

    Raises:
        InputError: a line is not one of sha256sum.
    """
    found = None
    for number, line in enumerate(manifest.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = SHA256_LINE.fullmatch(line.strip())
        if not match:
            raise InputError(f"{manifest}: line {number}: not a line of sha256sum")
        if match["name"] == name:
            found = match["digest"]
    return found


def link(kept: Path, target: Path) -> None:
    """Give a kept file a second name; across file systems, a copy."""
    try:
        os.link(kept, target)
    except OSError:
        shutil.copyfile(kept, target)


if __name__ == "__main__":
    job.run(main)
