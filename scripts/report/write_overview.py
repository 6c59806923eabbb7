"""One page over all lines: gates, headline figures, what was not run."""

from __future__ import annotations

from collections.abc import Callable

from scripts.lib import job
from scripts.lib.account import write_rows
from scripts.lib.joblog import log
from scripts.lib.pages import CSV, data_uri, render
from scripts.report.backtests import read_backtests
from scripts.report.overview import COLUMNS, HEADLINES, Card, card_of, lines_of, rows_of, units_of
from scripts.report.settings import OverviewSettings
from scripts.report.verdicts import STATUSES, Verdict, read_verdict


def main(
    template: job.InputFile,
    layout: job.InputFile,
    page: job.OutputFile,
    table: job.OutputFile,
    settings: OverviewSettings,
    metrics: list[job.InputFile] | None = None,
    accounts: list[job.InputFile] | None = None,
    comparisons: list[job.InputFile] | None = None,
    causality: list[job.InputFile] | None = None,
    verdicts: list[job.InputFile] | None = None,
) -> None:
    """One page over all lines: state of the gates, headline figures with intervals, what was not run.

    Files of one backtest are known by the name of their folder, its account by the name in it.

    Args:
        template: Jinja2 template of the page
        layout: Jinja2 template that it extends
        page: HTML to write
        table: CSV with every number of the page
        settings: lines of the workflow, what was not run
        metrics: metrics.json of judge_backtest, one for each backtest
        accounts: account.json, one for each backtest
        comparisons: comparison.csv of judge_backtest
        causality: causality.json of check_causality
        verdicts: verdicts of the gates, LINE/gates/STAGE/SUBJECT.json
    """
    backtests = read_backtests(metrics or [], accounts or [], comparisons or [], causality or [])
    found = [read_verdict(path) for path in verdicts or []]
    cards = [card_of(backtest) for backtest in backtests]
    lines = lines_of(settings, cards, found)
    write_rows(table, COLUMNS, rows_of(lines, cards, found, settings))
    values = {
        "lines": lines, "cards": cards, "verdicts": found, "not_run": settings.not_run, "units": units_of(backtests),
        "headlines": HEADLINES, "statuses": list(reversed(STATUSES)), "alarms": alarms_of(cards, found),
        "table": data_uri(table.read_bytes(), CSV),
    }  # fmt: skip
    page.write_text(render(template, layout, values), encoding="utf-8")
    log.info("%d lines, %d backtests, %d gates", len(lines), len(cards), len(found))


def alarms_of(cards: list[Card], verdicts: list[Verdict]) -> list[str]:
    """What must be seen first, in red."""

    def gates(chosen: Callable[[Verdict], bool]) -> list[str]:
        return [f"{each.line}/{each.stage}/{each.subject}" for each in verdicts if chosen(each)]

    found = {
        "Gates failed": gates(lambda verdict: verdict.status == "fail"),
        "Gates waived": gates(lambda verdict: verdict.status == "waived"),
        "No gate, by the configuration": gates(lambda verdict: verdict.open),
        "Look-ahead found in": [card.name for card in cards if card.causality == "fail"],
        "Look-ahead was not checked in": [card.name for card in cards if card.causality == "not checked"],
        "Simulated prices, which say nothing of any market, in": [card.name for card in cards if card.simulated],
    }
    return [f"{text}: {', '.join(names)}" for text, names in found.items() if names]


if __name__ == "__main__":
    job.run(main)
