"""Start a GPU program with one process a GPU: `python -m scripts.lib.launch --gpus 8 scripts.LINE.STAGE …`.

More than one GPU: `torchrun --standalone` on this node; otherwise plain python. The threads of the rule are shared
among the processes. This process is replaced (exec), so signals reach the program itself.
"""

from __future__ import annotations

import os
import sys


def command(gpus: int, arguments: list[str]) -> list[str]:
    """The command that is executed for `arguments` = [module, option, …]."""
    if gpus <= 1:
        return [sys.executable, "-m", *arguments]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={gpus}"]
    return [*torchrun, "-m", *arguments]


def main(arguments: list[str]) -> None:
    """Replace this process by the program."""
    if len(arguments) < 3 or arguments[0] != "--gpus" or not arguments[1].isdigit():
        print("usage: python -m scripts.lib.launch --gpus N MODULE [OPTION …]", file=sys.stderr)
        sys.exit(2)
    gpus = int(arguments[1])
    if gpus > 1:
        threads = int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))
        os.environ["OMP_NUM_THREADS"] = str(max(threads // gpus, 1))
    run = command(gpus, arguments[2:])
    os.execv(run[0], run)


if __name__ == "__main__":
    main(sys.argv[1:])
