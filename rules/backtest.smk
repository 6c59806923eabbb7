# Backtests, for all lines: predictions to an account, its benchmarks and stresses, a verdict and a page. A line whose
# account comes from elsewhere (fills of its own) names the account's folder in ACCOUNTS; the rules from judge_backtest
# on are the same for all.
from scripts.backtest.runs import (
    KNOWN,
    SWEEP_PLOTS,
    TABLES,
    LineAccount,
    account_json,
    all_trials,
    category_of,
    causality_of,
    causality_options,
    is_checked,
    judged_files,
    line_options,
    market_files,
    predictions_of,
    replay_files,
    signal_command,
    simulated_flag,
    subject_of,
    sweep_equities,
    sweep_files,
    sweep_settings,
    trial_predictions,
    trial_settings,
    trial_signal,
)

# Accounts that lines end in.
ACCOUNTS = {
    f"orderbook-{book}": LineAccount(
        f"results/orderbook/{book}/agent/account",
        f"results/orderbook/{book}/causality.json",
        category="Order books",
        subject=book,
    )
    for book in CONFIG.orderbook.feeds
}
BACKTESTS = [*CONFIG.backtest.active, *ACCOUNTS]
CHECKED = [name for name in BACKTESTS if is_checked(CONFIG.backtest, name)]


wildcard_constraints:
    backtest="[A-Za-z0-9][A-Za-z0-9_-]*",
    prices="[A-Za-z0-9][A-Za-z0-9_-]*",
    trial="[0-9]+-[0-9]+-[0-9]+",
    setting="[0-9]+",


rule simulate_prices:
    output:
        prices="results/prices/{prices}/prices.parquet",
        splits="results/prices/{prices}/splits.csv",
        dividends="results/prices/{prices}/dividends.csv",
        delistings="results/prices/{prices}/delistings.csv",
        categories="results/prices/{prices}/categories.csv",
    log:
        "logs/backtest/simulate_prices/{prices}.log",
    benchmark:
        "benchmarks/backtest/simulate_prices/{prices}.jsonl"
    conda:
        "../envs/backtest.yaml"
    threads: 1
    resources:
        mem=growing("2GB"),
        runtime="30m",
    params:
        *code("scripts.backtest.simulate_prices", env="backtest"),
        settings=settings("backtest.simulate", signal="backtest.prices.{prices}.signal"),
    shell:
        "python -m scripts.backtest.simulate_prices --prices {output.prices} --splits {output.splits}"
        " --dividends {output.dividends} --delistings {output.delistings} --categories {output.categories}"
        " --settings {params.settings:q} > {log} 2>&1"


rule compute_signal:
    input:
        unpack(market_files(CONFIG.backtest, "splits")),
    output:
        predictions="results/backtest/{backtest}/predictions.parquet",
    log:
        "logs/backtest/compute_signal/{backtest}.log",
    benchmark:
        "benchmarks/backtest/compute_signal/{backtest}.jsonl"
    conda:
        "../envs/backtest.yaml"
    threads: 1
    resources:
        mem=growing("4GB"),
        runtime="2h",
    params:
        *code("scripts.backtest.compute_signal", env="backtest"),
        files=options("prices", "splits"),
        settings=settings(
            "backtest.backtests.{backtest}.signal",
            calendar="backtest.backtests.{backtest}.trade.calendar",
        ),
    shell:
        "python -m scripts.backtest.compute_signal {params.files} --predictions {output.predictions}"
        " --settings {params.settings:q} > {log} 2>&1"


use rule compute_signal as compute_trial_signal with:
    output:
        predictions="results/backtest/{backtest}/sweep/signals/{setting}.parquet",
    log:
        "logs/backtest/compute_trial_signal/{backtest}/{setting}.log",
    benchmark:
        "benchmarks/backtest/compute_trial_signal/{backtest}/{setting}.jsonl"
    params:
        *code("scripts.backtest.compute_signal", env="backtest"),
        files=options("prices", "splits"),
        settings=trial_signal(CONFIG.backtest),


rule check_causality:
    input:
        unpack(market_files(CONFIG.backtest, "splits")),
    output:
        report="results/backtest/{backtest}/causality.json",
    log:
        "logs/backtest/check_causality/{backtest}.log",
    benchmark:
        "benchmarks/backtest/check_causality/{backtest}.jsonl"
    conda:
        "../envs/backtest.yaml"
    threads: 1
    resources:
        mem=growing("4GB"),
        runtime="12h",
    params:
        *code("scripts.backtest.check_causality", env="backtest"),
        *code("scripts.backtest.compute_signal", env="backtest"),
        files=causality_options(CONFIG.backtest),
        command=signal_command(CONFIG.backtest),
        settings=settings(
            "backtest.causality",
            calendar="backtest.backtests.{backtest}.trade.calendar",
        ),
    shell:
        "python -m scripts.backtest.check_causality {params.files} --command {params.command:q}"
        " --report {output.report} --settings {params.settings:q} > {log} 2>&1"


# Fails where the check failed; the report of the check stays.
rule require_causality:
    input:
        report=causality_of(ACCOUNTS),
    output:
        passed="results/backtest/{backtest}/causality.txt",
    log:
        "logs/backtest/require_causality/{backtest}.log",
    benchmark:
        "benchmarks/backtest/require_causality/{backtest}.jsonl"
    conda:
        "../envs/backtest.yaml"
    threads: 1
    resources:
        mem=growing("1GB"),
        runtime="10m",
    params:
        *code("scripts.backtest.require_causality", env="backtest"),
    shell:
        "python -m scripts.backtest.require_causality --report {input.report} --passed {output.passed} > {log} 2>&1"


rule run_backtest:
    input:
        unpack(
            market_files(
                CONFIG.backtest, "splits", "dividends", "delistings", "earlier"
            )
        ),
        predictions=predictions_of(CONFIG.backtest),
    output:
        equity="results/backtest/{backtest}/account/equity.csv",
        trades="results/backtest/{backtest}/account/trades.csv",
        positions="results/backtest/{backtest}/account/positions.parquet",
        account="results/backtest/{backtest}/account/account.json",
    log:
        "logs/backtest/run_backtest/{backtest}.log",
    benchmark:
        "benchmarks/backtest/run_backtest/{backtest}.jsonl"
    conda:
        "../envs/backtest.yaml"
    threads: 1
    resources:
        mem=growing("4GB"),
        runtime="2h",
    params:
        *code("scripts.backtest.run_backtest", env="backtest"),
        files=options("prices", "splits", "dividends", "delistings", "earlier"),
        simulated=simulated_flag(CONFIG.backtest),
        settings=settings("backtest.backtests.{backtest}.trade"),
    shell:
        "python -m scripts.backtest.run_backtest --predictions {input.predictions:q} {params.files}"
        " --equity {output.equity} --trades {output.trades} --positions {output.positions}"
        " --account {output.account} --name {wildcards.backtest} {params.simulated}"
        " --settings {params.settings:q} > {log} 2>&1"


use rule run_backtest as run_trial with:
    input:
        unpack(
            market_files(
                CONFIG.backtest, "splits", "dividends", "delistings", "earlier"
            )
        ),
        predictions=trial_predictions(CONFIG.backtest),
    output:
        equity="results/backtest/{backtest}/sweep/{trial}/equity.csv",
        trades=temp("results/backtest/{backtest}/sweep/{trial}/trades.csv"),
        positions=temp("results/backtest/{backtest}/sweep/{trial}/positions.parquet"),
        account="results/backtest/{backtest}/sweep/{trial}/account.json",
    log:
        "logs/backtest/run_trial/{backtest}/{trial}.log",
    benchmark:
        "benchmarks/backtest/run_trial/{backtest}/{trial}.jsonl"
    params:
        *code("scripts.backtest.run_backtest", env="backtest"),
        files=options("prices", "splits", "dividends", "delistings", "earlier"),
        simulated=simulated_flag(CONFIG.backtest),
        settings=trial_settings(CONFIG.backtest),


rule replay_trades:
    input:
        unpack(market_files(CONFIG.backtest, "splits", "dividends", "delistings")),
        equity="results/backtest/{backtest}/account/equity.csv",
        trades="results/backtest/{backtest}/account/trades.csv",
    output:
        report="results/backtest/{backtest}/account/replay.json",
        table="results/backtest/{backtest}/account/replay.csv",
    log:
        "logs/backtest/replay_trades/{backtest}.log",
    benchmark:
        "benchmarks/backtest/replay_trades/{backtest}.jsonl"
    conda:
        "../envs/backtest.yaml"
    threads: 1
    resources:
        mem=growing("4GB"),
        runtime="1h",
    params:
        *code("scripts.backtest.replay_trades", env="backtest"),
        files=options("prices", "splits", "dividends", "delistings"),
        settings=settings(
            "backtest.replay",
            initial_cash="backtest.backtests.{backtest}.trade.initial_cash",
            borrow_rate="backtest.backtests.{backtest}.trade.borrow_rate",
            cash_rate="backtest.backtests.{backtest}.trade.cash_rate",
            calendar="backtest.backtests.{backtest}.trade.calendar",
            delisting_return="backtest.backtests.{backtest}.trade.delisting_return",
            delisted_after="backtest.backtests.{backtest}.trade.delisted_after",
        ),
    shell:
        "python -m scripts.backtest.replay_trades --equity {input.equity} --trades {input.trades} {params.files}"
        " --report {output.report} --table {output.table} --settings {params.settings:q} > {log} 2>&1"


rule run_benchmarks:
    input:
        unpack(market_files(CONFIG.backtest, "splits", "dividends", "delistings")),
        predictions=predictions_of(CONFIG.backtest),
        naive=lambda wildcards: (
            CONFIG.backtest.backtests[wildcards.backtest].naive or []
        ),
    output:
        benchmarks="results/backtest/{backtest}/account/benchmarks.csv",
    log:
        "logs/backtest/run_benchmarks/{backtest}.log",
    benchmark:
        "benchmarks/backtest/run_benchmarks/{backtest}.jsonl"
    conda:
        "../envs/backtest.yaml"
    threads: 1
    resources:
        mem=growing("4GB"),
        runtime="4h",
    params:
        *code("scripts.backtest.run_benchmarks", env="backtest"),
        files=options("prices", "splits", "dividends", "delistings", "naive"),
        line=line_options(CONFIG.backtest),
        settings=settings("backtest.backtests.{backtest}.trade"),
    shell:
        "python -m scripts.backtest.run_benchmarks --predictions {input.predictions:q} {params.files} {params.line}"
        " --benchmarks {output.benchmarks} --settings {params.settings:q} > {log} 2>&1"


rule stress_backtest:
    input:
        unpack(market_files(CONFIG.backtest, "splits", "dividends", "delistings")),
        predictions=predictions_of(CONFIG.backtest),
    output:
        stress="results/backtest/{backtest}/account/stress.csv",
    log:
        "logs/backtest/stress_backtest/{backtest}.log",
    benchmark:
        "benchmarks/backtest/stress_backtest/{backtest}.jsonl"
    conda:
        "../envs/backtest.yaml"
    threads: 1
    resources:
        mem=growing("4GB"),
        runtime="4h",
    params:
        *code("scripts.backtest.stress_backtest", env="backtest"),
        files=options("prices", "splits", "dividends", "delistings"),
        settings=settings("backtest.backtests.{backtest}.trade"),
    shell:
        "python -m scripts.backtest.stress_backtest --predictions {input.predictions:q} {params.files}"
        " --stress {output.stress} --settings {params.settings:q} > {log} 2>&1"


rule evaluate_predictions:
    input:
        unpack(
            market_files(
                CONFIG.backtest, "splits", "dividends", "delistings", "categories"
            )
        ),
        predictions=predictions_of(CONFIG.backtest),
    output:
        figures="results/backtest/{backtest}/forecasts/figures.csv",
        coefficients="results/backtest/{backtest}/forecasts/coefficients.csv",
        plot=report(
            "results/backtest/{backtest}/forecasts/forecasts.svg",
            caption="../report/forecasts.rst",
            category=category_of(ACCOUNTS),
            subcategory=subject_of(ACCOUNTS),
            labels={"part": "all", "figure": "predictions before any portfolio"},
        ),
    log:
        "logs/backtest/evaluate_predictions/{backtest}.log",
    benchmark:
        "benchmarks/backtest/evaluate_predictions/{backtest}.jsonl"
    conda:
        "../envs/backtest.yaml"
    threads: 1
    resources:
        mem=growing("4GB"),
        runtime="2h",
    params:
        *code("scripts.backtest.evaluate_predictions", env="backtest"),
        files=options("prices", "splits", "dividends", "delistings", "categories"),
        settings=settings(
            "backtest.backtests.{backtest}.forecasts",
            signal_column="backtest.backtests.{backtest}.trade.signal_column",
            fill="backtest.backtests.{backtest}.trade.fill",
            calendar="backtest.backtests.{backtest}.trade.calendar",
            delisting_return="backtest.backtests.{backtest}.trade.delisting_return",
            delisted_after="backtest.backtests.{backtest}.trade.delisted_after",
        ),
    shell:
        "python -m scripts.backtest.evaluate_predictions --predictions {input.predictions:q} {params.files}"
        " --figures {output.figures} --coefficients {output.coefficients} --plot {output.plot}"
        " --title {wildcards.backtest} --settings {params.settings:q} > {log} 2>&1"


rule judge_backtest:
    input:
        unpack(judged_files(CONFIG.backtest, ACCOUNTS)),
        unpack(replay_files(CONFIG.backtest)),
        unpack(market_files(CONFIG.backtest, "splits", "dividends", "categories")),
        trials=all_trials(CONFIG.backtest),
    output:
        metrics="results/backtest/{backtest}/metrics.json",
        table=report(
            "results/backtest/{backtest}/metrics.csv",
            caption="../report/metrics.rst",
            category=category_of(ACCOUNTS),
            subcategory=subject_of(ACCOUNTS),
            labels={"part": "all", "figure": "all figures, table"},
        ),
        periods="results/backtest/{backtest}/periods.csv",
        drawdowns="results/backtest/{backtest}/drawdowns.csv",
        contributions="results/backtest/{backtest}/contributions.csv",
        comparison=report(
            "results/backtest/{backtest}/comparison.csv",
            caption="../report/comparison.rst",
            category=category_of(ACCOUNTS),
            subcategory=subject_of(ACCOUNTS),
            labels={"part": "all", "figure": "strategy beside benchmarks, table"},
        ),
    log:
        "logs/backtest/judge_backtest/{backtest}.log",
    benchmark:
        "benchmarks/backtest/judge_backtest/{backtest}.jsonl"
    conda:
        "../envs/backtest.yaml"
    threads: 1
    resources:
        mem=growing("4GB"),
        runtime="2h",
    params:
        *code("scripts.backtest.judge_backtest", env="backtest"),
        files=options(
            "account", *KNOWN, "replay", "prices", "splits", "dividends", "categories"
        ),
        settings=settings("backtest.judge"),
    shell:
        "python -m scripts.backtest.judge_backtest {params.files} --metrics {output.metrics} --table {output.table}"
        " --periods {output.periods} --drawdowns {output.drawdowns} --contributions {output.contributions}"
        " --comparison {output.comparison} --settings {params.settings:q} > {log} 2>&1"


rule judge_sweep:
    input:
        equity=sweep_equities(CONFIG.backtest),
    output:
        table=report(
            "results/backtest/{backtest}/sweep/sweep.csv",
            caption="../report/sweep_table.rst",
            category=category_of(ACCOUNTS),
            subcategory=subject_of(ACCOUNTS),
            labels={"part": "all", "figure": "sweep, table"},
        ),
        heatmap=report(
            "results/backtest/{backtest}/sweep/heatmap.svg",
            caption="../report/sweep_heatmap.rst",
            category=category_of(ACCOUNTS),
            subcategory=subject_of(ACCOUNTS),
            labels={
                "part": "all",
                "figure": "sweep, Sharpe ratio over the parameters",
            },
        ),
        logits=report(
            "results/backtest/{backtest}/sweep/logits.svg",
            caption="../report/sweep_logits.rst",
            category=category_of(ACCOUNTS),
            subcategory=subject_of(ACCOUNTS),
            labels={"part": "all", "figure": "sweep, probability of overfitting"},
        ),
        fan=report(
            "results/backtest/{backtest}/sweep/fan.svg",
            caption="../report/sweep_fan.rst",
            category=category_of(ACCOUNTS),
            subcategory=subject_of(ACCOUNTS),
            labels={"part": "all", "figure": "sweep, seeds and folds"},
        ),
        summary="results/backtest/{backtest}/sweep/sweep.json",
    log:
        "logs/backtest/judge_sweep/{backtest}.log",
    benchmark:
        "benchmarks/backtest/judge_sweep/{backtest}.jsonl"
    conda:
        "../envs/backtest.yaml"
    threads: 1
    resources:
        mem=growing("4GB"),
        runtime="2h",
    params:
        *code("scripts.backtest.judge_sweep", env="backtest"),
        settings=sweep_settings(CONFIG.backtest),
    shell:
        "python -m scripts.backtest.judge_sweep --accounts results/backtest/{wildcards.backtest}/sweep --table {output.table}"
        " --heatmap {output.heatmap} --logits {output.logits} --fan {output.fan} --summary {output.summary}"
        " --title {wildcards.backtest} --settings {params.settings:q} > {log} 2>&1"


rule draw_tear_sheet:
    input:
        unpack(judged_files(CONFIG.backtest, ACCOUNTS)),
        unpack(sweep_files(CONFIG.backtest)),
        metrics="results/backtest/{backtest}/metrics.json",
        periods="results/backtest/{backtest}/periods.csv",
        drawdowns="results/backtest/{backtest}/drawdowns.csv",
        contributions="results/backtest/{backtest}/contributions.csv",
        comparison="results/backtest/{backtest}/comparison.csv",
        template=resource("tear_sheet.html.j2"),
        layout=resource("page.html.j2"),
    output:
        page=report(
            "results/backtest/{backtest}/tear_sheet.html",
            caption="../report/tear_sheet.rst",
            category=category_of(ACCOUNTS),
            subcategory=subject_of(ACCOUNTS),
            labels={"part": "all", "figure": "tear sheet"},
        ),
        plots=directory("results/backtest/{backtest}/plots"),
    log:
        "logs/backtest/draw_tear_sheet/{backtest}.log",
    benchmark:
        "benchmarks/backtest/draw_tear_sheet/{backtest}.jsonl"
    conda:
        "../envs/backtest.yaml"
    threads: 1
    resources:
        mem=growing("2GB"),
        runtime="30m",
    params:
        *code("scripts.backtest.draw_tear_sheet", env="backtest"),
        files=options(
            *KNOWN, *TABLES, *SWEEP_PLOTS, "sweep_table", "template", "layout"
        ),
        settings=settings("backtest.tear_sheet"),
    shell:
        "python -m scripts.backtest.draw_tear_sheet --description {input.account} {params.files} --page {output.page} --plots {output.plots}"
        " --settings {params.settings:q} > {log} 2>&1"
