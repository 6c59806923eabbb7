"""The order-book line and what came later: it passes as it is, and planted leaks are found with their instant."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from scripts.lib.causality import ALL, Artifact, Cut, check
from scripts.lib.errors import InputError
from scripts.orderbook import balance_windows, extract_features, parse_book, simulate_book, train_agent
from scripts.orderbook.agent.policy import view_of
from scripts.orderbook.agent.settings import TrainAgentSettings
from scripts.orderbook.book.settings import ParseOptions, ParseSettings
from scripts.orderbook.causality.book_line import messages_of
from scripts.orderbook.causality.raw_changes import Changes, change_capture, why_not
from scripts.orderbook.causality.settings import BookCausalitySettings
from scripts.orderbook.check_book_causality import files_of, main
from scripts.orderbook.encoder.config import EncoderConfig, write_config
from scripts.orderbook.encoder.model import new_encoder, save_weights
from scripts.orderbook.simulation.settings import SimulateSettings
from scripts.orderbook.trading.settings import TradingRules
from scripts.orderbook.windows.scan import scan
from scripts.orderbook.windows.settings import BalanceSettings
from tests.unit.orderbook_streams import DAY_MS, MS, diff, quote, snapshot, write_messages

PARTS = ("20240101", "20240102")
LEVELS, LENGTH = 4, 16
RULES = TradingRules(fee_bps=0.0, decision_every=2)
BALANCE: dict[str, Any] = {
    "levels": LEVELS, "known_levels": 0, "length": LENGTH, "stride": 4, "volatility_bins": 1, "trend_bins": 1,
    "spread_bins": 2, "depth_bins": 2, "min_windows": 5,
}  # fmt: skip
TRAINING: dict[str, Any] = {
    "decisions": 128, "environments": 2, "rollout": 32, "episode": 20, "batch": 32, "epochs": 1, "hidden": [8],
    "known_levels": 0, "trading": RULES,
}  # fmt: skip
ACCIDENTS: dict[str, Any] = {
    "lost_diffs": 1,
    "swapped_diffs": 1,
    "doubled_diffs": 1,
    "garbage_lines": 1,
    "cut_bytes": 40,
}


class Line:
    """A feed at tiny size, trained, and its check."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.raw = [folder / f"{part}.gz" for part in PARTS]
        self.settings = BookCausalitySettings(
            venue="binance-usdm", symbol="BTCUSDT", parse=ParseOptions(depth=LEVELS),
            balance=BalanceSettings(**BALANCE),
            trading=RULES,
        )  # fmt: skip

    def make(self) -> Line:
        states = []
        for part, raw in zip(PARTS, self.raw, strict=True):
            simulate_book.main(raw, part, SimulateSettings(messages=700, signal=0.3, snapshot_levels=100, **ACCIDENTS))
            states.append(self.folder / f"{part}.parquet")
            chosen = ParseSettings(venue="binance-usdm", symbol="BTCUSDT", depth=LEVELS)
            parse_book.main([raw], states[-1], self.folder / f"{part}.json", chosen)
        names = {split: f"{split}.npy" for split in ("train", "validation", "test")}
        names |= {"windows": "windows.parquet", "scaling": "scaling.json", "conditions": "c.csv", "summary": "c.json"}
        outputs: dict[str, Any] = {name: self.folder / file for name, file in names.items()} | {
            "plot": self.folder / "c.svg"
        }
        balance_windows.main(states=states, **outputs, title="tiny", settings=BalanceSettings(**BALANCE))
        config = EncoderConfig(features=4 * LEVELS, length=LENGTH, width=32, layers=1, heads=2)
        save_weights(self.folder / "model.safetensors", new_encoder(config, 0))
        write_config(self.folder / "encoder.json", config)
        for seed in range(2):
            train_agent.main(
                states=states, **self.trained(), policy=self.folder / f"policy-{seed}", history=self.folder / "h.csv",
                agent=self.folder / f"agent-{seed}", checkpoints=self.folder / "checkpoints", seed=seed, gpus=0,
                settings=TrainAgentSettings(**TRAINING),
            )  # fmt: skip
        return self

    def trained(self) -> dict[str, Any]:
        names = {"windows": "windows.parquet", "scaling": "scaling.json", "encoder": "model.safetensors",
                 "encoder_config": "encoder.json"}  # fmt: skip
        return {name: self.folder / file for name, file in names.items()}

    def check(self, target: Path, **changes: Any) -> dict[str, Any]:
        """The report."""
        main(
            raw=self.raw, parts=list(PARTS), files_a_part=[1, 1], **self.trained(), asset="tiny", report=target,
            policies=[self.folder / f"policy-{seed}" for seed in range(2)],
            agents=[self.folder / f"agent-{seed}" for seed in range(2)],
            settings=self.settings.model_copy(update=changes),
        )  # fmt: skip
        report: dict[str, Any] = json.loads(target.read_text())
        return report


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    torch.set_num_threads(1)
    return Line(tmp_path_factory.mktemp("line")).make()


# ------------------------------------------------------------------------------------------------------------ the line


def test_the_line_passes_in_every_split(line: Line, tmp_path: Path) -> None:
    report = line.check(tmp_path / "causality.json")
    assert (report["status"], report["offences"], report["reason"]) == ("pass", [], None)
    assert [cut[:10] for cut in report["cuts"]] == ["2024-01-01", "2024-01-02", "2024-01-02"]
    seen = {artifact["name"]: artifact for artifact in report["artifacts"]}
    assert all(artifact["compared"] for artifact in seen.values())
    assert set(seen) == {
        *(f"{kind} {part}" for kind in ("states", "features") for part in PARTS),
        *(f"windows {split}" for split in ("train", "validation", "test")),
        *(f"predictions {split}" for split in ("validation", "test")), "scaling", "edges of the conditions",
    }  # fmt: skip
    fitted = {"windows train", "scaling", "edges of the conditions"}  # known before the first cut at which they count
    assert {name for name, artifact in seen.items() if not artifact["responds"]} == fitted
    assert not list(tmp_path.glob(".causality-*"))


def test_parts_that_go_on_with_the_book_before_pass(line: Line, tmp_path: Path) -> None:
    report = line.check(tmp_path / "causality.json", chained=True, cuts=2)
    assert (report["status"], len(report["cuts"])) == ("pass", 6)


def test_a_feature_that_looks_a_state_ahead_is_found_at_the_cut(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = extract_features.main

    def ahead(states: Path, features: Path, settings: Any) -> None:
        honest(states, features, settings)
        table = pq.read_table(features)
        values = table["imbalance_1"].to_numpy()
        place = table.column_names.index("imbalance_1")
        pq.write_table(table.set_column(place, "imbalance_1", pa.array(np.append(values[1:], np.nan))), features)

    monkeypatch.setattr(extract_features, "main", ahead)
    report = line.check(tmp_path / "causality.json")
    assert report["status"] == "fail"
    assert {(row["artifact"][:8], row["column"], row["reach_back"]) for row in report["offences"]} == {
        ("features", "imbalance_1", 0)
    }
    states = [pq.read_table(line.folder / f"{part}.parquet")["local_time"].to_numpy() for part in PARTS]
    for row, cut in zip(report["offences"], report["cuts"], strict=True):
        instant = np.datetime64(cut.removesuffix("Z"), "ns").astype(np.int64)
        last = max(times[times <= instant].max() for times in states if (times <= instant).any())
        assert row["at"] == f"{np.datetime64(int(last), 'ns')}Z"
        assert row["cut"] == cut


def test_a_scaler_that_is_fitted_on_all_states_is_found(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def everything(paths: Any, settings: Any, train: int) -> Any:
        return scan(paths, settings, 10**9)

    monkeypatch.setattr("scripts.orderbook.balance_windows.scan", everything)
    report = line.check(tmp_path / "causality.json")
    scaling = [row for row in report["offences"] if row["artifact"] == "scaling"]
    assert len(scaling) == 2  # at the cuts after training
    assert {row["reach_back"] for row in scaling} == {ALL}
    assert scaling[0]["column"].startswith("features[0]")
    assert "fitted" in scaling[0]["reads"]


def test_an_agent_that_sees_the_next_state_is_found_at_its_decision(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ahead(mode: Any, encoder: Any, features: Any, *rest: Any) -> Any:
        return view_of(mode, encoder, np.roll(features, -1, axis=0), *rest)

    monkeypatch.setattr("scripts.orderbook.evaluate_agent.view_of", ahead)
    report = line.check(tmp_path / "causality.json")
    assert [(row["artifact"], row["at"], row["reach_back"]) for row in report["offences"]] == [
        (f"predictions {split}", cut, 0) for split, cut in zip(("validation", "test"), report["cuts"][1:], strict=True)
    ]


@pytest.mark.parametrize("venue", ["kraken", "databento"])
def test_what_cannot_be_changed_is_not_passed(line: Line, tmp_path: Path, venue: str) -> None:
    report = line.check(tmp_path / "causality.json", venue=venue)
    assert (report["status"], report["cuts"]) == ("not checked", [])
    assert venue in report["reason"]


def test_captures_and_parts_must_agree() -> None:
    raw = [Path(name) for name in ("s", "a", "b")]
    assert files_of(raw, ["x", "y"], [2, 1]) == {"x": raw[:2], "y": raw[2:]}
    with pytest.raises(InputError, match=r"--files-a-part: \[1, 1\] for 2 parts and 3 captures"):
        files_of(raw, ["x", "y"], [1, 1])


# -------------------------------------------------------------------------------------------------- what is known when


class Parsing:
    """Captures to states and no further."""

    def __init__(self, raw: Path, venue: str = "binance-usdm") -> None:
        self._raw, self._venue = raw, venue

    def perturb(self, folder: Path, cut: Cut, seed: int) -> int:
        changes = Changes(np.random.default_rng(seed), Decimal("3"))
        return change_capture(self._raw, folder / "raw.gz", self._venue, cut.instant, changes)

    def build(self, inputs: Path | None, folder: Path, cut: Cut | None) -> Iterable[Artifact]:
        folder.mkdir(parents=True)
        states = folder / "states.parquet"
        settings = ParseSettings.model_validate({"venue": self._venue, "depth": 5})
        parse_book.main([inputs / "raw.gz" if inputs else self._raw], states, folder / "quality.json", settings)
        return [Artifact("states", messages_of(states))]


def at_every_message(artifacts: Any) -> list[Cut]:
    stamps = np.unique(artifacts[0].read().stamps)
    return [Cut(int(stamp), str(stamp)) for stamp in [stamps[0] - 1, *stamps[:-1]]]


def late(order: list[Any], folder: Path) -> Path:
    return write_messages(folder / "raw.gz", order)


def steps(first: int, last: int) -> list[Any]:
    """Diffs that follow one another, each with a best bid of its own size."""
    return [diff(i, i, i - 1, b=[["100.0", str(i)]], a=[["101.0", str(2 * i)]]) for i in range(first, last + 1)]


@pytest.mark.parametrize(
    "order",
    [
        pytest.param(
            [*steps(10, 14), snapshot(11), *steps(15, 18)], id="the snapshot comes after diffs that follow it"
        ),
        pytest.param(
            [
                snapshot(10),
                *steps(10, 12),
                snapshot(14),
                *steps(14, 15),
                *steps(17, 17),
                *steps(16, 16),
                *steps(18, 19),
            ],
            id="a snapshot was there before the gap",
        ),
        pytest.param(
            [snapshot(10), *steps(10, 12), *steps(14, 15), snapshot(14), *steps(16, 18)],
            id="diffs wait behind a gap",
        ),
    ],
)
def test_no_state_is_known_before_what_it_is_made_of(tmp_path: Path, order: list[Any]) -> None:
    raw = late(order, tmp_path)
    verdict = check(Parsing(raw), at_every_message, 0, tmp_path / "check")
    assert verdict.status == "pass", verdict.offences
    states = pq.read_table(next((tmp_path / "check" / "before").glob("*.parquet")))
    assert (np.diff(states["local_time"].to_numpy()) >= 0).all()


@pytest.mark.parametrize(
    ("order", "ids", "arrivals"),
    [
        pytest.param(
            [*steps(10, 14), snapshot(11), *steps(15, 16)], [11, 11, 12, 13, 14, 15, 16], [5] * 5 + [6, 7],
            id="diffs that waited for it bear the snapshot's time",
        ),
        pytest.param(
            [snapshot(10), *steps(10, 11), snapshot(13), *steps(13, 14)], [10, 10, 11, 13, 13, 14], [0, 1, 2, 4, 4, 5],
            id="a snapshot that a gap made use of bears that of the diff behind the gap",
        ),
    ],
)  # fmt: skip
def test_states_bear_the_time_at_which_they_could_be_made(
    tmp_path: Path, order: list[Any], ids: list[int], arrivals: list[int]
) -> None:
    list(Parsing(late(order, tmp_path)).build(None, tmp_path / "parsed", None))
    states = pq.read_table(tmp_path / "parsed" / "states.parquet")
    assert states["update_id"].to_pylist() == ids
    assert states["local_time"].to_pylist() == [DAY_MS * MS + number * MS for number in arrivals]


@pytest.mark.parametrize(
    ("name", "venue"),
    [
        ("orderbook/binance/usdm/btcusdt_20240808.gz", "binance-usdm"),
        ("orderbook/binance/spot/btcusdt_20240808.gz", "binance-spot"),
    ],
)
def test_states_of_real_captures_know_nothing_of_what_came_later(
    real_data: Callable[[str], Path], tmp_path: Path, name: str, venue: str
) -> None:
    """Their first snapshot came after diffs that follow it."""
    raw = tmp_path / "raw.gz"
    raw.symlink_to(real_data(name))

    def first(artifacts: Any) -> list[Cut]:
        stamp = int(artifacts[0].read().stamps.min())
        return [Cut(stamp, str(stamp))]

    verdict = check(Parsing(raw, venue), first, 0, tmp_path / "check")
    assert verdict.status == "pass", verdict.offences
    assert verdict.artifacts["states"].compared >= 2
    assert verdict.artifacts["states"].responds


def test_a_real_capture_without_local_times_is_told(real_data: Callable[[str], Path]) -> None:
    assert "no local time" in str(why_not("bybit", [real_data("orderbook/bybit/xrpusdt-ob500.data.zip")]))


# ---------------------------------------------------------------------------------------------------- changed captures


def changed_lines(source: Path, venue: str, instant: int, target: Path) -> tuple[list[bytes], list[bytes]]:
    count = change_capture(source, target, venue, instant, Changes(np.random.default_rng(0), Decimal("0.5")))
    before, after = (gzip.decompress(path.read_bytes()).splitlines() for path in (source, target))
    assert count == sum(old != new for old, new in zip(before, after, strict=True))
    return before, after


def test_messages_after_the_instant_keep_ids_and_times_and_change_all_else(tmp_path: Path) -> None:
    first = [["100.0", "1.50"], ["99.0", "0.00"]]
    messages = [
        snapshot(5), diff(6, 6, 5, b=first), quote(6, ["100.0", "1"], ["101.0", "2"]), diff(7, 7, 6, b=first),
        snapshot(7), diff(8, 8, 7),
    ]  # fmt: skip
    source = write_messages(tmp_path / "raw.gz", messages)
    with gzip.open(source, "ab") as file:
        file.write(b"garbage\n%d {no json\n" % ((DAY_MS + 9) * MS))
    before, after = changed_lines(source, "binance-usdm", (DAY_MS + 1) * MS, tmp_path / "new.gz")
    assert [old == new for old, new in zip(before, after, strict=True)] == [
        True, True, False, False, False, True, True, True,
    ]  # fmt: skip
    read = [json.loads(line.partition(b" ")[2]) for line in after[:5]]
    data = read[3]["data"]
    assert {key: data[key] for key in ("U", "u", "pu", "E")} == {"U": 7, "u": 7, "pu": 6, "E": DAY_MS + 7}
    assert [price for price, _ in data["b"]] == ["100.5", "99.5"]
    assert data["b"][1][1] == "0.00"
    assert Decimal(data["b"][0][1]) not in (0, Decimal("1.50"))
    assert len(data["b"][0][1].partition(".")[2]) == 2
    assert read[2]["data"]["b"] == "100.5"
    assert read[2]["data"]["u"] == 6
    assert read[4]["lastUpdateId"] == 7
    assert [price for price, _ in read[4]["bids"]] == ["100.5", "99.5"]
    assert [line.partition(b" ")[0] for line in before] == [line.partition(b" ")[0] for line in after]


def test_rows_of_tardis_change_after_their_local_timestamp(tmp_path: Path) -> None:
    source = tmp_path / "raw.csv.gz"
    header = "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount"
    rows = [f"deribit,BTC,{1000 + i},{2000 + i},false,bid,{100 + i},{i % 2}" for i in range(4)]
    source.write_bytes(gzip.compress("\n".join([header, *rows, ""]).encode()))
    before, after = changed_lines(source, "tardis", 2_001_000, tmp_path / "new.gz")
    assert before[:3] == after[:3]
    read = list(csv.DictReader(line.decode() for line in after))
    assert [row["price"] for row in read] == ["100", "101", "102.5", "103.5"]
    assert [row["local_timestamp"] for row in read] == ["2000", "2001", "2002", "2003"]
    assert read[2]["amount"] == "0"
    assert read[3]["amount"] not in ("0", "1")


def test_lines_without_a_local_time_are_told(tmp_path: Path) -> None:
    raw = tmp_path / "raw.gz"
    raw.write_bytes(gzip.compress(json.dumps(diff(1, 1, 0)).encode() + b"\n"))
    assert "no local time" in str(why_not("binance-usdm", [raw]))
    assert why_not("tardis", [raw]) is None
