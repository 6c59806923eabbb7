"""Atomic outputs: whole or not there."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from scripts.lib.errors import InputError
from scripts.lib.outputs import atomic, flush, replace, temporary_path

HOST = socket.gethostname()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def dead_pid() -> int:
    """Id of a process that was and is no more."""
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return process.pid


class Recorder:
    """Notes fsyncs and renames, in order, and lets them happen."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[str, str]] = []
        sync, rename, move = os.fsync, Path.replace, Path.rename

        def fsync(descriptor: int) -> None:
            self.calls.append(("sync", os.readlink(f"/proc/self/fd/{descriptor}")))
            sync(descriptor)

        def replaced(path: Path, target: Path) -> Path:
            self.calls.append(("rename", str(target)))
            return rename(path, target)

        def moved(path: Path, target: Path) -> Path:
            self.calls.append(("rename", str(target)))
            return move(path, target)

        monkeypatch.setattr(os, "fsync", fsync)
        monkeypatch.setattr(Path, "replace", replaced)
        monkeypatch.setattr(Path, "rename", moved)


def test_every_file_is_synced_before_any_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = Recorder(monkeypatch)
    targets = {"a": tmp_path / "a.csv", "b": tmp_path / "sub" / "b.json"}
    with atomic(targets) as temporary:
        for path in temporary.values():
            path.write_text("x")
        assert record.calls == []
    a, b = (str(temporary[name]) for name in ("a", "b"))
    assert record.calls == [
        ("sync", a),
        ("sync", b),
        ("rename", str(targets["a"])),
        ("sync", str(tmp_path)),
        ("rename", str(targets["b"])),
        ("sync", str(tmp_path / "sub")),
    ]


def test_directory_is_synced_with_all_it_holds_before_its_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Recorder(monkeypatch)
    with atomic({"d": tmp_path / "d"}, frozenset("d")) as temporary:
        folder = temporary["d"]
        (folder / "deep").mkdir()
        (folder / "deep" / "x").touch()
        (folder / "y").touch()
    synced = [path for kind, path in record.calls[: record.calls.index(("rename", str(tmp_path / "d")))]]
    assert sorted(synced) == sorted(map(str, [folder, folder / "deep", folder / "deep" / "x", folder / "y"]))
    assert synced.index(str(folder / "deep" / "x")) < synced.index(str(folder / "deep")) < synced.index(str(folder))


def test_nothing_gets_its_name_when_one_output_is_missing(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match=r"did not write its output b \(.*b\.csv\)"),
        atomic({"a": tmp_path / "a.csv", "b": tmp_path / "b.csv", "d": tmp_path / "d"}, frozenset("d")) as temporary,
    ):
        temporary["a"].write_text("x")
    assert names(tmp_path) == []


def test_error_in_the_block_leaves_old_outputs_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("old")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "old").touch()
    outputs = atomic({"a": tmp_path / "a.csv", "d": tmp_path / "d"}, frozenset("d"))
    temporary = outputs.__enter__()
    temporary["a"].write_text("new")
    (temporary["d"] / "new").touch()
    assert outputs.__exit__(KeyError, KeyError(), None) is False
    assert names(tmp_path) == ["a.csv", "d"]
    assert (tmp_path / "a.csv").read_text() == "old"
    assert names(tmp_path / "d") == ["old"]


@pytest.mark.parametrize("old", ["empty", "full", "link"])
def test_directory_takes_the_place_of_an_old_one(tmp_path: Path, old: str) -> None:
    target = tmp_path / "d"
    if old == "link":
        (tmp_path / "elsewhere").touch()
        target.symlink_to("elsewhere")
    else:
        target.mkdir()
        if old == "full":
            (target / "old").mkdir()
    new = tmp_path / "new"
    if old == "link":
        new.touch()
    else:
        new.mkdir()
        (new / "x").touch()
    replace(new, target)
    assert not target.is_symlink()
    assert target.is_file() if old == "link" else names(target) == ["x"]
    assert [name for name in names(tmp_path) if name not in ("d", "elsewhere")] == []


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("a.csv", ".csv"),
        ("a.csv.gz", ".csv.gz"),
        ("20240101.gz", ".gz"),
        ("v1.2.parquet", ".parquet"),
        ("plain", ""),
        ("a[1]*?.json", ".json"),
    ],
)
def test_temporary_name_is_hidden_beside_the_target_and_keeps_the_suffix(
    tmp_path: Path, name: str, suffix: str
) -> None:
    path = temporary_path(tmp_path / name)
    assert path.parent == tmp_path
    assert path.name.startswith(".")
    assert path.name.endswith(f".partial{suffix}")
    assert str(os.getpid()) in path.name
    with atomic({"out": tmp_path / name}) as temporary:
        temporary["out"].write_text("x")
    assert names(tmp_path) == [name]


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "plain", "a[1]*?.json", f"{HOST}-1.csv", "x.partial.csv"])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_leftovers_of_dead_processes_are_swept(tmp_path: Path, name: str, kind: str) -> None:
    own = temporary_path(tmp_path / name)
    old = own.with_name(own.name.replace(f"-{os.getpid()}.", f"-{dead_pid()}."))
    assert old != own
    if kind == "file":
        old.touch()
    else:
        old.mkdir()
        (old / "x").touch()
    with atomic({"out": tmp_path / name}) as temporary:
        assert not old.exists()
        temporary["out"].touch()


def test_old_directory_set_aside_by_a_killed_run_is_swept(tmp_path: Path) -> None:
    """Killed between the two renames of a directory: the old one has left its name, the new one has not got it."""
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom scripts.lib import outputs\n"
        "rename = Path.rename\n"
        "def killed(path, target):\n    rename(path, target)\n    os.kill(os.getpid(), 9)\n"
        "Path.rename = killed\n"
        "with outputs.atomic({'d': Path(sys.argv[1])}, frozenset('d')): pass\n"
    )
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "old").touch()
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "d")])
    assert done.returncode == -9
    assert len(names(tmp_path)) == 2
    assert not (tmp_path / "d").exists()
    with atomic({"d": tmp_path / "d"}, frozenset("d")):
        pass
    assert names(tmp_path) == ["d"]


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    dead = dead_pid()
    kept = {
        f".a.{HOST}-{os.getppid()}.partial.csv": "a live process",
        f".a.otherhost-{dead}.partial.csv": "another host",
        f".b.{HOST}-{dead}.partial.csv": "another target",
        f".a.{HOST}-{dead}.partial.json": "another suffix",
        f".a.{HOST}-x{dead}.partial.csv": "no process id",
        "a.partial.csv": "a user's file",
    }
    for name in kept:
        (tmp_path / name).touch()
    with atomic({"out": tmp_path / "a.csv"}) as temporary:
        temporary["out"].touch()
    assert names(tmp_path) == sorted([*kept, "a.csv"])


def test_glob_characters_sweep_no_neighbours(tmp_path: Path) -> None:
    neighbour = tmp_path / f".a1.{HOST}-{dead_pid()}.partial.csv"
    neighbour.touch()
    with atomic({"out": tmp_path / "a[1].csv", "star": tmp_path / "*.csv"}) as temporary:
        for path in temporary.values():
            path.touch()
    assert neighbour.exists()


@pytest.mark.parametrize("below", ["out.csv", "deep/out.csv"])
@pytest.mark.parametrize("directories", [frozenset[str](), frozenset({"out"})], ids=["file", "directory"])
def test_folder_that_cannot_be_made_is_an_input_error(tmp_path: Path, below: str, directories: frozenset[str]) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match=r"/file\S*: cannot write there: "),
        atomic({"out": tmp_path / "file" / below}, directories),
    ):
        pytest.fail("the program must not start")


def test_folder_without_write_permission_is_told_before_the_work() -> None:
    root = os.geteuid() == 0  # whom modes do not hold back: look with a plain user's rights
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        if root:
            os.seteuid(65534)
        try:
            with (
                pytest.raises(InputError, match=f"{folder}: cannot write there: Permission denied"),
                atomic({"out": Path(folder) / "a.csv"}),
            ):
                pytest.fail("the program must not start")
        finally:
            if root:
                os.seteuid(0)


def test_flush_takes_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    flush(tmp_path)
    flush(tmp_path / "x")


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_outputs_have_the_permissions_of_the_user_s_umask_whatever_a_library_gave_them(
    tmp_path: Path, mask: int
) -> None:
    """Safetensors writes files that nobody but their owner may read."""
    before = os.umask(mask)
    try:
        with atomic({"weights": tmp_path / "weights", "folder": tmp_path / "folder"}, frozenset({"folder"})) as paths:
            os.close(os.open(paths["weights"], os.O_CREAT, 0o600))
    finally:
        os.umask(before)
    assert (tmp_path / "weights").stat().st_mode & 0o777 == 0o666 & ~mask
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o777 & ~mask
