"""fetch_book: a provider's days from a server on this machine."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from scripts.lib.errors import InputError
from scripts.orderbook import fetch_book
from scripts.orderbook.capture.settings import FetchSettings
from tests.unit.file_server import Script, serving
from tests.unit.orderbook_streams import error_of, run_program

CONTENT = gzip.compress(b"exchange,symbol,timestamp\n" * 1_000, mtime=0)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PATH = "/v1/binance-futures/incremental_book_L2/2024/02/01/BTCUSDT.csv.gz"


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TARDIS_API_KEY", raising=False)


def settings(base: str, **changes: Any) -> FetchSettings:
    options: dict[str, Any] = {
        "base_url": f"{base}/v1",
        "exchange": "binance-futures",
        "symbol": "BTCUSDT",
        "attempts": 2,
    }
    return FetchSettings(**(options | {"first_wait_s": 0.001} | changes))


def fetch(folder: Path, script: Script, part: str = "20240201", manifest: Path | None = None, **changes: Any) -> Path:
    raw, digest = folder / "raw.csv.gz", folder / "raw.csv.gz.sha256"
    raw.unlink(missing_ok=True)
    with serving(script) as base:
        fetch_book.main(raw, digest, part, folder / "store", settings(base, **changes), manifest)
    return raw


def test_a_free_day_is_asked_for_at_its_address_without_a_key(tmp_path: Path) -> None:
    script = Script(CONTENT)
    raw = fetch(tmp_path, script)
    assert raw.read_bytes() == CONTENT
    assert script.asked[0]["path"] == PATH
    assert "authorization" not in script.asked[0]


def test_the_digest_is_one_that_sha256sum_checks(tmp_path: Path) -> None:
    fetch(tmp_path, Script(CONTENT)).rename(tmp_path / "20240201.csv.gz")
    done = subprocess.run(["sha256sum", "-c", "raw.csv.gz.sha256"], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "20240201.csv.gz: OK\n"


def test_a_second_run_needs_no_network_and_no_second_copy(tmp_path: Path) -> None:
    script = Script(CONTENT)
    fetch(tmp_path, script)
    raw = fetch(tmp_path, Script(b"another", status=lambda number: 500))
    assert raw.read_bytes() == CONTENT
    kept = tmp_path / "store" / "binance-futures" / "BTCUSDT_20240201.csv.gz"
    assert raw.stat().st_ino == kept.stat().st_ino
    raw.unlink()
    assert kept.read_bytes() == CONTENT


def test_other_days_need_a_key_which_is_told_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    script = Script(CONTENT)
    with pytest.raises(
        InputError, match="20240202: only the first day of a month is free; for others set TARDIS_API_K"
    ):
        fetch(tmp_path, script, "20240202")
    assert not script.asked
    monkeypatch.setenv("TARDIS_API_KEY", "secret-key")
    fetch(tmp_path, script, "20240202")
    assert script.asked[0]["authorization"] == "Bearer secret-key"
    assert "secret" not in caplog.text
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"secret" in path.read_bytes()]


@pytest.mark.parametrize(
    ("status", "key", "told"),
    [
        (401, None, "HTTP 401 Unauthorized: set TARDIS_API_KEY"),
        (401, "wrong", "HTTP 401 Unauthorized: the key in TARDIS_API_KEY does not give access"),
        (403, "wrong", "HTTP 403 Forbidden: the key in TARDIS_API_KEY does not give access"),
        (404, None, "HTTP 404 Not Found: is there 'BTCUSDT' at 'binance-futures' on 2024-02-01?"),
    ],
)
def test_a_refusal_says_what_it_may_mean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, key: str | None, told: str
) -> None:
    if key:
        monkeypatch.setenv("TARDIS_API_KEY", key)
    with pytest.raises(InputError) as error:
        fetch(tmp_path, Script(CONTENT, status=lambda number: status))
    assert str(error.value).endswith(f"{PATH}: {told}")


@pytest.mark.parametrize(
    ("symbol", "named"),
    [("btcusdt", "BTCUSDT"), ("XBT/USD", "XBT-USD"), ("tBTCF0:USTF0", "TBTCF0-USTF0"), ("BTC PERP", "BTC%20PERP")],
)
def test_symbols_are_named_as_in_the_provider_s_files(symbol: str, named: str) -> None:
    url = fetch_book.address(settings("http://x", symbol=symbol), date(2024, 2, 1))
    assert url.endswith(f"/2024/02/01/{named}.csv.gz")


def test_a_manifest_pins_the_file(tmp_path: Path) -> None:
    manifest = tmp_path / "sha256"
    manifest.write_text(f"# days\n\n{'1' * 64}  20240101.csv.gz\n{SHA256} *20240201.csv.gz\n")
    fetch(tmp_path, Script(CONTENT), manifest=manifest)
    manifest.write_text(f"{'1' * 64}  20240201.csv.gz\n")
    with pytest.raises(InputError, match=f"sha256 is {SHA256}, not {'1' * 64} as pinned"):
        fetch(tmp_path, Script(CONTENT), manifest=manifest)


@pytest.mark.parametrize("line", ["abc  20240201.csv.gz", f"{SHA256}", f"{SHA256.upper()}  x", "{}", "\udcff"])
def test_a_bad_line_of_a_manifest_is_named(tmp_path: Path, line: str) -> None:
    manifest = tmp_path / "sha256"
    manifest.write_bytes(b"# fine\n" + line.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match="sha256: line 2: not a line of sha256sum"):
        fetch(tmp_path, Script(CONTENT), manifest=manifest)


@pytest.mark.parametrize("part", ["monday", "20240231", "2024021", "20240201x"])
def test_a_part_that_is_no_day_is_refused(tmp_path: Path, part: str) -> None:
    with pytest.raises(InputError, match="YYYYMMDD"):
        fetch(tmp_path, Script(CONTENT), part)


def program(folder: Path, base: str, **changes: Any) -> subprocess.CompletedProcess[str]:
    outputs = ("--raw", folder / "out" / "a.csv.gz", "--digest", folder / "out" / "a.csv.gz.sha256")
    text = json.dumps(settings(base, **changes).model_dump())
    where = ("--part", "20240201", "--store", folder / "store")
    return run_program("scripts.orderbook.fetch_book", *outputs, *where, "--settings", text)


def test_the_program_fetches_through_a_cut_connection(tmp_path: Path) -> None:
    content = gzip.compress(bytes(range(256)) * 40_000, 0, mtime=0)
    with serving(Script(content, cut=lambda number: 3_000_000 if number < 2 else None)) as base:
        done = program(tmp_path, base)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "a.csv.gz").read_bytes() == content
    assert "progress fetch 100.0 %" in done.stderr
    assert "progress verify 100.0 %" in done.stderr


def test_the_program_leaves_nothing_half_written_and_exits_with_2(tmp_path: Path) -> None:
    with serving(Script(CONTENT, cut=lambda number: 50)) as base:
        done = program(tmp_path, base, attempts=1)
    line = error_of(done)
    assert PATH in line
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    "changes",
    [{"exchange": "../up"}, {"symbol": ""}, {"base_url": "ftp://x"}, {"base_url": "https://x/"}, {"attempts": 0}],
)
def test_settings_that_cannot_work_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        settings("http://x", **changes)
