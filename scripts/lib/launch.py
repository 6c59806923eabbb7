"""Start a GPU program with one process a GPU: `python -m scripts.lib.launch --gpus 8 scripts.LINE.STAGE …`.

More than one GPU: torchrun, `--standalone` on this node, with the rule's threads shared among the processes; otherwise
plain python, which replaces this process. Either way the exit code is the program's own (torchrun makes 1 of all).
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import NoReturn


def torchrun_arguments(gpus: int, arguments: list[str]) -> list[str]:
    """The options of torchrun for `arguments` = [module, option, …]."""
    return ["--standalone", f"--nproc-per-node={gpus}", "-m", *arguments]


def share_threads(processes: int) -> None:
    """Divide the rule's threads among the processes of this node."""
    threads = int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))
    os.environ["OMP_NUM_THREADS"] = str(max(threads // processes, 1))


def torchrun(gpus: int, arguments: list[str]) -> NoReturn:
    """Run one process a GPU and exit with 0, or with the code of the failed ranks."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    share_threads(gpus)
    signal.signal(signal.SIGUSR1, pass_on)
    try:
        run(parse_args(torchrun_arguments(gpus, arguments)))
    except ChildFailedError as error:
        sys.exit(exit_code([failure.exitcode for failure in error.failures.values()]))
    except SignalException as stop:  # its workers have been told
        sys.exit(128 + stop.sigval)
    sys.exit(0)


def pass_on(number: int, frame: object) -> None:
    """Pass a signal on to the processes; torchrun itself does so with SIGTERM and its like only."""
    for listing in Path("/proc/self/task").glob("*/children"):
        for process in listing.read_text(encoding="utf-8").split():
            os.kill(int(process), number)


def exit_code(codes: list[int]) -> int:
    """One code for those of the ranks: 2 (bad input) or 75 (stopped, state saved) if any says so, since the others then
    only lost a peer.

    A negative code is a signal; the shell's convention for it is 128 + number.
    """
    code = next((told for told in (2, 75) if told in codes), codes[0])
    return code if code > 0 else 128 - code


def main(arguments: list[str]) -> NoReturn:
    """Launch the program."""
    if len(arguments) < 3 or arguments[0] != "--gpus" or not arguments[1].isdigit():
        print("usage: python -m scripts.lib.launch --gpus N MODULE [OPTION …]", file=sys.stderr)
        sys.exit(2)
    gpus, rest = int(arguments[1]), arguments[2:]
    if gpus > 1:
        torchrun(gpus, rest)
    os.execv(sys.executable, [sys.executable, "-m", *rest])


if __name__ == "__main__":
    main(sys.argv[1:])
