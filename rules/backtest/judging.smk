# What is to be believed of an account, a line's or one of ours: figures, sweep, and the page that shows it whole.
from scripts.backtest.runs import (
    KNOWN,
    SWEEP_PLOTS,
    TABLES,
    all_trials,
    category_of,
    judged_files,
    market_files,
    replay_files,
    subject_of,
    sweep_equities,
    sweep_files,
    sweep_settings,
)


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
            caption="../../report/metrics.rst",
            category=category_of(ACCOUNTS),
            subcategory=subject_of(ACCOUNTS),
            labels={"part": "all", "figure": "all figures, table"},
        ),
        periods="results/backtest/{backtest}/periods.csv",
        drawdowns="results/backtest/{backtest}/drawdowns.csv",
        contributions="results/backtest/{backtest}/contributions.csv",
        comparison=report(
            "results/backtest/{backtest}/comparison.csv",
            caption="../../report/comparison.rst",
            category=category_of(ACCOUNTS),
            subcategory=subject_of(ACCOUNTS),
            labels={"part": "all", "figure": "strategy beside benchmarks, table"},
        ),
    log:
        "logs/backtest/judge_backtest/{backtest}.log",
    benchmark:
        "benchmarks/backtest/judge_backtest/{backtest}.jsonl"
    conda:
        "../../envs/backtest.yaml"
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
            caption="../../report/sweep_table.rst",
            category=category_of(ACCOUNTS),
            subcategory=subject_of(ACCOUNTS),
            labels={"part": "all", "figure": "sweep, table"},
        ),
        heatmap=report(
            "results/backtest/{backtest}/sweep/heatmap.svg",
            caption="../../report/sweep_heatmap.rst",
            category=category_of(ACCOUNTS),
            subcategory=subject_of(ACCOUNTS),
            labels={
                "part": "all",
                "figure": "sweep, Sharpe ratio over the parameters",
            },
        ),
        logits=report(
            "results/backtest/{backtest}/sweep/logits.svg",
            caption="../../report/sweep_logits.rst",
            category=category_of(ACCOUNTS),
            subcategory=subject_of(ACCOUNTS),
            labels={"part": "all", "figure": "sweep, probability of overfitting"},
        ),
        fan=report(
            "results/backtest/{backtest}/sweep/fan.svg",
            caption="../../report/sweep_fan.rst",
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
        "../../envs/backtest.yaml"
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
            caption="../../report/tear_sheet.rst",
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
        "../../envs/backtest.yaml"
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
