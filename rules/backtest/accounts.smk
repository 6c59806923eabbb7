# Predictions to accounts: the backtest, its sweep, a second simulator on the same orders, benchmarks and stresses.
from scripts.backtest.runs import (
    line_options,
    market_files,
    predictions_of,
    simulated_flag,
    trial_predictions,
    trial_settings,
)


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
        "../../envs/backtest.yaml"
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
        "../../envs/backtest.yaml"
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
        "../../envs/backtest.yaml"
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
        "../../envs/backtest.yaml"
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
