# What all lines found, on one page.
from scripts.backtest.runs import account_json
from scripts.report.inputs import overview_settings


rule write_overview:
    input:
        metrics=expand("results/backtest/{backtest}/metrics.json", backtest=BACKTESTS),
        comparisons=expand(
            "results/backtest/{backtest}/comparison.csv", backtest=BACKTESTS
        ),
        accounts=[account_json(ACCOUNTS, name) for name in BACKTESTS],
        verdicts=VERDICTS,
        template=resource("overview.html.j2"),
        layout=resource("page.html.j2"),
    output:
        page=report(
            "results/report/overview.html",
            caption="../report/overview.rst",
            category="Overview",
            labels={"part": "all", "figure": "overview"},
        ),
        table="results/report/overview.csv",
    log:
        "logs/report/write_overview.log",
    benchmark:
        "benchmarks/report/write_overview.jsonl"
    conda:
        "../envs/backtest.yaml"
    threads: 1
    resources:
        mem=growing("1GB"),
        runtime="10m",
    params:
        *code("scripts.report.write_overview", env="backtest"),
        files=options(
            "metrics", "comparisons", "accounts", "verdicts", "template", "layout"
        ),
        settings=overview_settings([name for name in BACKTESTS if name not in CHECKED]),
    shell:
        "python -m scripts.report.write_overview {params.files} --page {output.page} --table {output.table}"
        " --settings {params.settings:q} > {log} 2>&1"
