# Book states to features, and to windows of them for training.
from scripts.orderbook.feeds import parts_of_book


rule extract_features:
    input:
        states="results/orderbook/{book}/states/{part}.parquet",
    output:
        features="results/orderbook/{book}/features/{part}.parquet",
    log:
        "logs/orderbook/extract_features/{book}/{part}.log",
    benchmark:
        "benchmarks/orderbook/extract_features/{book}/{part}.jsonl"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem=growing("2GB"),
        runtime="1h",
    params:
        *code("scripts.orderbook.extract_features", env="data"),
        settings=settings("orderbook.features"),
    shell:
        "python -m scripts.orderbook.extract_features --states {input.states} --features {output.features}"
        " --settings {params.settings:q} > {log} 2>&1"


rule explore_features:
    input:
        features=parts_of_book(
            CONFIG.orderbook, "results/orderbook/{book}/features/{part}.parquet"
        ),
    output:
        distributions=report(
            "results/orderbook/{book}/exploration/distributions.svg",
            caption="../../report/distributions.rst",
            category="Order books",
            subcategory="{book}",
            labels={"part": "all", "figure": "distributions of the features"},
        ),
        autocorrelation=report(
            "results/orderbook/{book}/exploration/autocorrelation.svg",
            caption="../../report/autocorrelation.rst",
            category="Order books",
            subcategory="{book}",
            labels={"part": "all", "figure": "autocorrelation of the features"},
        ),
        regimes=report(
            "results/orderbook/{book}/exploration/regimes.svg",
            caption="../../report/regimes.rst",
            category="Order books",
            subcategory="{book}",
            labels={"part": "all", "figure": "regimes of volatility and spread"},
        ),
        statistics=report(
            "results/orderbook/{book}/exploration/statistics.csv",
            caption="../../report/statistics.rst",
            category="Order books",
            subcategory="{book}",
            labels={"part": "all", "figure": "statistics of the features"},
        ),
    log:
        "logs/orderbook/explore_features/{book}.log",
    benchmark:
        "benchmarks/orderbook/explore_features/{book}.jsonl"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem=growing("4GB"),
        runtime="30m",
    params:
        *code("scripts.orderbook.explore_features", env="data"),
        settings=settings("orderbook.explore"),
    shell:
        "python -m scripts.orderbook.explore_features --features {input.features}"
        " --distributions {output.distributions} --autocorrelation {output.autocorrelation}"
        " --regimes {output.regimes} --statistics {output.statistics} --title {wildcards.book}"
        " --settings {params.settings:q} > {log} 2>&1"


rule balance_windows:
    input:
        states=parts_of_book(
            CONFIG.orderbook, "results/orderbook/{book}/states/{part}.parquet"
        ),
    output:
        train="results/orderbook/{book}/windows/train.npy",
        validation="results/orderbook/{book}/windows/validation.npy",
        test="results/orderbook/{book}/windows/test.npy",
        windows="results/orderbook/{book}/windows/windows.parquet",
        scaling="results/orderbook/{book}/windows/scaling.json",
        summary="results/orderbook/{book}/windows/conditions.json",
        conditions=report(
            "results/orderbook/{book}/windows/conditions.csv",
            caption="../../report/conditions_table.rst",
            category="Order books",
            subcategory="{book}",
            labels={"part": "all", "figure": "conditions of the windows, numbers"},
        ),
        plot=report(
            "results/orderbook/{book}/windows/conditions.svg",
            caption="../../report/conditions.rst",
            category="Order books",
            subcategory="{book}",
            labels={"part": "all", "figure": "conditions of the windows"},
        ),
    log:
        "logs/orderbook/balance_windows/{book}.log",
    benchmark:
        "benchmarks/orderbook/balance_windows/{book}.jsonl"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem=growing("4GB"),
        runtime="4h",
    params:
        *code("scripts.orderbook.balance_windows", env="data"),
        settings=settings("orderbook.balance"),
    shell:
        "python -m scripts.orderbook.balance_windows --states {input.states}"
        " --train {output.train} --validation {output.validation} --test {output.test}"
        " --windows {output.windows} --scaling {output.scaling} --conditions {output.conditions}"
        " --summary {output.summary} --plot {output.plot} --title {wildcards.book}"
        " --settings {params.settings:q} > {log} 2>&1"
