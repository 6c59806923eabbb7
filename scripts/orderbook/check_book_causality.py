"""Whether anything that the order-book line makes depends on messages that came after it."""

from __future__ import annotations

import tempfile
from itertools import accumulate, pairwise
from pathlib import Path

from scripts.lib import job
from scripts.lib.causality import Verdict, check, not_checked
from scripts.lib.errors import InputError
from scripts.lib.joblog import log
from scripts.orderbook.causality.book_line import BookLine, Trained
from scripts.orderbook.causality.raw_changes import why_not
from scripts.orderbook.causality.settings import BookCausalitySettings


def main(
    raw: list[job.InputFile],
    parts: list[str],
    files_a_part: list[int],
    windows: job.InputFile,
    scaling: job.InputFile,
    encoder: job.InputFile,
    encoder_config: job.InputFile,
    policies: list[job.InputFile],
    agents: list[job.InputFile],
    report: job.OutputFile,
    asset: str,
    settings: BookCausalitySettings,
) -> None:
    """Whether anything that the order-book line makes depends on messages that came after it.

    The captures are changed after an instant, at one of training, validation and test each, and states, features,
    scaling, windows and the agents' predictions are made of them once more, with the encoder and the agents as they
    are: every value up to then must be the same bit by bit. The report is written whatever it says.

    Args:
        raw: raw captures of all parts of a feed in time order
        parts: names of the parts
        files_a_part: how many of the captures belong to each part
        windows: windows.parquet of balance_windows, which the agents were trained with
        scaling: scaling.json of balance_windows
        encoder: weights of pretrain_encoder, safetensors
        encoder_config: encoder.json beside them
        policies: weights of train_agent, one for each seed
        agents: agent.json of train_agent, in the same order
        report: JSON with status, cuts, and the first instant that depends on what came later
        asset: name of what is traded, such as the feed's
        settings: number of cuts, and the settings of all stages
    """
    files = files_of(raw, parts, files_a_part)
    trained = Trained(windows, scaling, encoder, encoder_config, policies, agents)
    reason = why_not(settings.venue, raw)
    verdict = not_checked(reason) if reason else judged(BookLine(files, trained, asset, settings), report, settings)
    verdict.write(report)
    told = verdict.offences[0].line() if verdict.offences else verdict.reason
    log.info("%s at %d cuts%s", verdict.status, len(verdict.cuts), f": {told}" if told else "")


def judged(line: BookLine, report: Path, settings: BookCausalitySettings) -> Verdict:
    """The verdict, with what is rebuilt beside the report for the time being."""
    with tempfile.TemporaryDirectory(dir=report.parent, prefix=".causality-") as folder:
        return check(line, line.cuts, settings.seed, Path(folder))


def files_of(raw: list[Path], parts: list[str], counts: list[int]) -> dict[str, list[Path]]:
    """The captures of each part.

    Raises:
        InputError: their number is another one.
    """
    if len(parts) != len(counts) or sum(counts) != len(raw):
        raise InputError(f"--files-a-part: {counts} for {len(parts)} parts and {len(raw)} captures")
    edges = pairwise([0, *accumulate(counts)])
    return {part: raw[start:stop] for part, (start, stop) in zip(parts, edges, strict=True)}


if __name__ == "__main__":
    job.run(main)
