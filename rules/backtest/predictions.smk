# Prices and predictions of backtests: where they come from, whether they look ahead, how good they are by themselves.
from scripts.backtest.runs import (
    category_of,
    causality_of,
    causality_options,
    market_files,
    predictions_of,
    signal_command,
    subject_of,
    trial_signal,
)


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
        "../../envs/backtest.yaml"
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
        "../../envs/backtest.yaml"
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
            index="backtest.backtests.{backtest}.index",
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
        "../../envs/backtest.yaml"
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
        "../../envs/backtest.yaml"
    threads: 1
    resources:
        mem=growing("1GB"),
        runtime="10m",
    params:
        *code("scripts.backtest.require_causality", env="backtest"),
    shell:
        "python -m scripts.backtest.require_causality --report {input.report} --passed {output.passed} > {log} 2>&1"


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
            caption="../../report/forecasts.rst",
            category=category_of(ACCOUNTS),
            subcategory=subject_of(ACCOUNTS),
            labels={"part": "all", "figure": "predictions before any portfolio"},
        ),
    log:
        "logs/backtest/evaluate_predictions/{backtest}.log",
    benchmark:
        "benchmarks/backtest/evaluate_predictions/{backtest}.jsonl"
    conda:
        "../../envs/backtest.yaml"
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
