# What every rule file uses. No logic here: the functions live in scripts/lib, where they are tested.
import os
import shlex
import sys

sys.path.insert(0, workflow.basedir)

from scripts.config import load_or_exit
from scripts.lib.code import code
from scripts.lib.rule import growing_to, launch, options, settings_of

# Jobs run `python -m scripts.…` from any working directory. A prefix, since Snakemake unsets PYTHONPATH in a job; it
# replaces Snakemake's own prefix, the strict mode of bash.
shell.prefix(f"set -euo pipefail; export PYTHONPATH={shlex.quote(workflow.basedir)}; ")
CONFIG = load_or_exit(config, look_for_files=workflow.is_main_process)

settings = settings_of(CONFIG)
# A file of the workflow as an input. Relative, so that a run that is moved together with its clone stays up to date.
resource = lambda name: os.path.relpath(f"{workflow.basedir}/resources/{name}")
growing = growing_to(CONFIG.site.memory_gb)


wildcard_constraints:
    book="[A-Za-z0-9][A-Za-z0-9_-]*",
    part="[A-Za-z0-9][A-Za-z0-9_-]*",
    seed="[0-9]+",
