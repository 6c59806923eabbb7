"""Checkpoints: whole or not there, damaged ones passed over, one writer at a time."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.lib.errors import InputError
from scripts.lib.outputs import remove
from scripts.lib.settings import Settings
from scripts.lib.training.checkpoint import CheckpointStore
from scripts.lib.training.identity import code_digest, data_digests, identity_of, keyed_folder, what_is_computed
from tests.conftest import ROOT, clean_environment

HOLD = """
import sys, time
from pathlib import Path
from scripts.lib.training.checkpoint import CheckpointStore
with CheckpointStore(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""
DIE = """
import os, signal, sys
from pathlib import Path
from scripts.lib.training.checkpoint import CheckpointStore
def write(folder):
    (folder / "a.bin").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
with CheckpointStore(Path(sys.argv[1])) as store:
    store.save(7, write, {})
"""


def run(code: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], env=clean_environment(PYTHONPATH=str(ROOT)), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def writer(step: int) -> Callable[[Path], None]:
    """Writes two files whose content tells the step."""

    def write(folder: Path) -> None:
        (folder / "a.bin").write_bytes(b"a" * 100 + str(step).encode())
        (folder / "b.bin").write_bytes(b"")

    return write


def save(store: CheckpointStore, *steps: int, needs: int | None = None) -> None:
    for step in steps:
        store.save(step, writer(step), {"step": step, "loss": 0.1 + 0.2}, needs)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[50] ^= 1
    path.write_bytes(content)


def test_the_newest_comes_back_with_its_files_and_its_info(tmp_path: Path) -> None:
    with CheckpointStore(tmp_path / "made" / "here") as store:
        assert store.newest() is None
        save(store, 5, 20, 100)
        found = store.newest()
    assert found is not None
    assert (found.step, found.info) == (100, {"step": 100, "loss": 0.1 + 0.2})
    assert (found.folder / "a.bin").read_bytes() == b"a" * 100 + b"100"
    manifest = json.loads((found.folder / "manifest.json").read_text())
    sha = subprocess.run(["sha256sum", found.folder / "a.bin"], capture_output=True, text=True, check=True).stdout
    assert manifest["files"]["a.bin"] == {"bytes": 103, "sha256": sha.split()[0]}


def test_only_the_newest_and_those_they_need_are_kept(tmp_path: Path) -> None:
    with CheckpointStore(tmp_path, keep=2) as store:
        save(store, 1, 2)
        save(store, 3, 4, 5, needs=2)
        assert store.steps() == [2, 4, 5]
        save(store, 6, needs=6)
        assert store.steps() == [2, 5, 6], "if 6 is damaged, 5 is gone back to, which needs 2"
        save(store, 7, needs=6)
        assert store.steps() == [6, 7]


def test_a_step_saved_again_is_replaced(tmp_path: Path) -> None:
    with CheckpointStore(tmp_path) as store:
        save(store, 3)
        store.save(3, lambda folder: None, {"again": True})
        assert store.at(3).info == {"again": True}
        assert [path.name for path in tmp_path.iterdir() if path.name != "lock"] == ["step-000000003"]


def put_a_file_there(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.touch()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a bit": lambda folder: flip(folder / "a.bin"),
    "cut": lambda folder: os.truncate(folder / "a.bin", 60),
    "longer": lambda folder: (folder / "b.bin").write_bytes(b"x"),
    "a file": lambda folder: remove(folder / "b.bin"),
    "manifest gone": lambda folder: remove(folder / "manifest.json"),
    "manifest cut": lambda folder: os.truncate(folder / "manifest.json", 40),
    "manifest empty": lambda folder: (folder / "manifest.json").write_text(""),
    "manifest strange": lambda folder: (folder / "manifest.json").write_text("[1]"),
    "all files": lambda folder: [path.write_bytes(b"") for path in folder.iterdir()],
    "a file in its place": put_a_file_there,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_newest_is_named_and_the_one_before_is_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    with CheckpointStore(tmp_path, keep=3) as store:
        save(store, 1, 2, 3)
        DAMAGES[damage](tmp_path / "step-000000003")
        with pytest.raises(InputError, match="step-000000003"):
            store.at(3)
        with caplog.at_level("WARNING", logger="tidemill"):
            found = store.newest()
        assert found is not None
        assert found.step == 2
        assert "step-000000003" in caplog.text
        save(store, 3)
        again = store.newest()
        assert again is not None
        assert again.step == 3


def test_a_checkpoint_of_another_training_is_named_and_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with CheckpointStore(tmp_path / "one") as one, CheckpointStore(tmp_path / "two") as two:
        save(one, 5)
        save(two, 3)
        shutil.copytree(tmp_path / "one" / "step-000000005", tmp_path / "two" / "step-000000005")
        with caplog.at_level("WARNING", logger="tidemill"):
            found = two.newest()
    assert found is not None
    assert found.step == 3
    assert "two/step-000000005: of another training, one" in caplog.text


def test_where_all_are_damaged_there_is_none(tmp_path: Path) -> None:
    with CheckpointStore(tmp_path, keep=3) as store:
        save(store, 1, 2)
        for step in (1, 2):
            flip(tmp_path / f"step-{step:09d}" / "a.bin")
        assert store.newest() is None


def test_a_writer_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    def failing(folder: Path) -> None:
        (folder / "a.bin").write_bytes(b"half")
        raise OSError("no space left on device")

    with CheckpointStore(tmp_path) as store:
        save(store, 1)
        with pytest.raises(OSError, match="no space"):
            store.save(2, failing, {})
        assert store.steps() == [1]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "step-000000001"]


def test_a_writer_that_is_killed_leaves_nothing_once_the_next_one_begins(tmp_path: Path) -> None:
    assert run(DIE, tmp_path).wait(60) == -signal.SIGKILL
    assert list(tmp_path.glob(".step-*"))
    with CheckpointStore(tmp_path) as store:
        assert store.newest() is None
        assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_a_second_writer_is_told_who_holds_the_folder_until_that_one_dies(tmp_path: Path) -> None:
    process = run(HOLD, tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    held = rf"{tmp_path}: another copy of this job is at work there: host=\S+ pid={process.pid} slurm_job=-$"
    with pytest.raises(InputError, match=held), CheckpointStore(tmp_path):
        pass
    process.kill()
    process.communicate()
    with CheckpointStore(tmp_path):
        assert f"pid={os.getpid()} " in (tmp_path / "lock").read_text()
    with CheckpointStore(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/here: cannot write there"), CheckpointStore(tmp_path / "file" / "here"):
        pass


class Inner(Settings):
    """A block with a part that only says how."""

    rate: float = 0.1
    run: dict[str, int] = {}


class Outer(Settings):
    """A stage."""

    depth: int = 3
    training: Inner = Inner()


def test_the_identity_is_of_code_settings_and_data(tmp_path: Path) -> None:
    data = tmp_path / "data.npy"
    data.write_bytes(b"0123")
    program = "scripts.preflight.check_gpus"
    one = identity_of(program, Outer(), [data])
    assert identity_of(program, Outer(training=Inner(run={"keep": 3})), [data]) == one
    assert identity_of(program, Outer(depth=4), [data]) != one
    assert identity_of("scripts.orderbook.plot_book", Outer(), [data]) != one
    data.write_bytes(b"0124")
    assert identity_of(program, Outer(), [data]) != one
    assert what_is_computed({"run": 1, "a": {"run": 2, "b": 3}}) == {"a": {"b": 3}}
    assert len(code_digest(program)) == 16
    assert keyed_folder(tmp_path, one) == keyed_folder(tmp_path, json.loads(json.dumps(one)))


def test_data_count_by_their_whole_content(tmp_path: Path) -> None:
    large = tmp_path / "large.npy"
    large.write_bytes(bytes(40_000_000))
    before = data_digests([large])
    with large.open("r+b") as file:
        file.seek(20_000_001)
        file.write(b"1")
    assert data_digests([large]) != before
    with pytest.raises(InputError, match=r"gone.npy: No such file"):
        data_digests([tmp_path / "gone.npy"])
