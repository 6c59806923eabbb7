"""What goes wrong on a cluster: limits, failures, dying nodes and daemons, and heads that are interrupted or killed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from tests.conftest import ROOT, clean_environment
from tests.slurm.conftest import HeadRun, Start, accounting, cluster, queue, wait_for


def wake(directory: Path) -> None:
    """End the job `sleep`."""
    (directory / "wake").touch()


def started(directory: Path) -> bool:
    """Whether the job `sleep` has begun."""
    return (directory / "runs.txt").exists()


def test_a_job_that_fails_once_is_retried_with_more_memory(start: Start, tmp_path: Path) -> None:
    run = start("--", "fail_once")
    assert run.wait() == 0, run.text()
    rows = accounting("State,ReqMem", "rule_fail_once")
    assert rows == [["FAILED", "1000M"], ["COMPLETED", "2000M"]]
    assert (tmp_path / "retried.txt").exists()


def test_two_nodes_give_one_task_and_eight_gpus_each(start: Start, tmp_path: Path) -> None:
    run = start("--", "take_two_nodes")
    assert run.wait() == 0, run.text()
    gpus = ",".join(map(str, range(8)))
    assert sorted((tmp_path / "nodes.txt").read_text().splitlines()) == [f"h1 {gpus}", f"h2 {gpus}"]


def test_ctrl_c_cancels_all_jobs_and_leaves_no_lock(start: Start, tmp_path: Path) -> None:
    run = start("--config", "seconds=600", "--", "sleep")
    wait_for(lambda: started(tmp_path), "the job to start")
    run.signal(signal.SIGINT)
    assert run.wait(60) == 1
    wait_for(lambda: not queue(tmp_path), "the queue to empty", 30)
    assert not list((tmp_path / ".snakemake").glob("locks/*"))
    again = start("--config", "seconds=1", "--", "sleep")
    assert again.wait() == 0, again.text()


def test_a_job_on_a_dying_node_is_run_again_on_another(start: Start, tmp_path: Path) -> None:
    run = start("--", "lose_node")
    first = tmp_path / "first_node.txt"
    wait_for(lambda: first.exists() and first.read_text().strip(), "the job to start")
    lost = first.read_text().strip()
    cluster("crash", lost)
    try:
        assert run.wait(240) == 0, run.text()
    finally:
        cluster("start", f"slurmd:{lost}")
    assert (tmp_path / "moved.txt").read_text().strip() == {"c1": "c2", "c2": "c1"}[lost]
    assert [row[0] for row in accounting("State", "rule_lose_node")] == ["NODE_FAIL", "COMPLETED"]


def test_a_run_survives_restarts_of_the_controller_and_of_the_accounting(start: Start, tmp_path: Path) -> None:
    run = start("--config", "seconds=300", "--", "sleep")
    wait_for(lambda: started(tmp_path), "the job to start")
    time.sleep(6)  # slurmctld forgets what it has not yet written down
    cluster("stop", "slurmdbd")
    cluster("stop", "slurmctld")
    time.sleep(12)
    cluster("start", "slurmdbd")
    cluster("start", "slurmctld")
    wake(tmp_path)
    assert run.wait() == 0, run.text()
    assert (tmp_path / "runs.txt").read_text().split() == ["start", "end"]


def unlock(directory: Path) -> subprocess.CompletedProcess[str]:
    """`make unlock DIRECTORY=…`."""
    command = [str(ROOT / ".venv" / "bin" / "python"), "-m", "scripts.commands.unlock"]
    environment = clean_environment(PYTHONPATH=str(ROOT))
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=60)


def test_after_a_kill_of_the_head_unlock_waits_for_its_jobs_and_the_run_goes_on(start: Start, tmp_path: Path) -> None:
    run = start("--config", "seconds=300", "--", "sleep")
    wait_for(lambda: started(tmp_path), "the job to start")
    jobs = queue(tmp_path)
    os.kill(run.process.pid, signal.SIGKILL)
    run.process.wait()

    locked = start("--config", "seconds=300", "--", "sleep")
    assert locked.wait(60) == 1
    assert "LockException" in locked.text()

    refused = unlock(tmp_path)
    assert refused.returncode == 1
    assert jobs[0] in refused.stderr
    assert list((tmp_path / ".snakemake").glob("locks/*"))

    wake(tmp_path)
    wait_for(lambda: not queue(tmp_path), "the job to end")
    allowed = unlock(tmp_path)
    assert allowed.returncode == 0, allowed.stderr
    again = start("--config", "seconds=300", "--", "sleep")
    assert again.wait() == 0, again.text()
    assert (tmp_path / "runs.txt").read_text().split() == ["start", "end"]
    assert (tmp_path / "slept.txt").exists()


def test_a_job_over_its_time_limit_fails_with_the_reason(over_time: HeadRun) -> None:
    assert over_time.wait(300) == 1
    assert "TIMEOUT" in over_time.text()
    states = accounting("State,WorkDir", "rule_sleep")
    assert [state for state, folder in states if folder == str(over_time.directory)] == ["TIMEOUT"]
    assert not (over_time.directory / "slept.txt").exists()
