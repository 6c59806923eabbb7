# Order books: raw depth streams to book states and their features.
from scripts.orderbook.feeds import books_of, parts_of, parts_of_book, raw_file


rule simulate_book:
    output:
        raw="results/orderbook/{book}/raw/{part}.gz",
    log:
        "logs/orderbook/simulate_book/{book}/{part}.log",
    benchmark:
        "benchmarks/orderbook/simulate_book/{book}/{part}.jsonl"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem=growing("2GB"),
        runtime="2h",
    params:
        *code("scripts.orderbook.simulate_book", env="data"),
        settings=settings(
            "orderbook.simulate",
            symbol="orderbook.books.{book}.symbol",
            signal="orderbook.books.{book}.signal",
        ),
    shell:
        "python -m scripts.orderbook.simulate_book --raw {output.raw} --part {wildcards.part}"
        " --settings {params.settings:q} > {log} 2>&1"


rule parse_book:
    input:
        raw=raw_file(CONFIG.orderbook),
    output:
        states="results/orderbook/{book}/states/{part}.parquet",
        quality="results/orderbook/{book}/quality/{part}.json",
    log:
        "logs/orderbook/parse_book/{book}/{part}.log",
    benchmark:
        "benchmarks/orderbook/parse_book/{book}/{part}.jsonl"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem=growing("4GB"),
        runtime="2h",
    params:
        *code("scripts.orderbook.parse_book", env="data"),
        settings=settings(
            "orderbook.parse",
            venue="orderbook.books.{book}.venue",
            symbol="orderbook.books.{book}.symbol",
        ),
    shell:
        "python -m scripts.orderbook.parse_book --raw {input.raw:q} --states {output.states}"
        " --quality {output.quality} --settings {params.settings:q} > {log} 2>&1"


rule plot_book:
    input:
        states="results/orderbook/{book}/states/{part}.parquet",
    output:
        plot=report(
            "results/orderbook/{book}/plots/{part}.svg",
            caption="../report/book.rst",
            category="Order books",
            subcategory="{book}",
            labels={"part": "{part}", "figure": "price ladder, spread and depth"},
        ),
    log:
        "logs/orderbook/plot_book/{book}/{part}.log",
    benchmark:
        "benchmarks/orderbook/plot_book/{book}/{part}.jsonl"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem=growing("4GB"),
        runtime="30m",
    params:
        *code("scripts.orderbook.plot_book", env="data"),
        settings=settings("orderbook.plot"),
    shell:
        "python -m scripts.orderbook.plot_book --states {input.states} --plot {output.plot}"
        " --title '{wildcards.book} {wildcards.part}' --settings {params.settings:q} > {log} 2>&1"


rule summarise_books:
    input:
        quality=parts_of(
            CONFIG.orderbook, "results/orderbook/{book}/quality/{part}.json"
        ),
    output:
        summary=report(
            "results/orderbook/summary.csv",
            caption="../report/summary.rst",
            category="Order books",
            subcategory="all feeds",
            labels={"part": "all", "figure": "summary of the feeds"},
        ),
    log:
        "logs/orderbook/summarise_books.log",
    benchmark:
        "benchmarks/orderbook/summarise_books.jsonl"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem=growing("1GB"),
        runtime="10m",
    params:
        *code("scripts.orderbook.summarise_books", env="data"),
    shell:
        "python -m scripts.orderbook.summarise_books --quality {input.quality} --summary {output.summary}"
        " > {log} 2>&1"


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
        "../envs/data.yaml"
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
            caption="../report/distributions.rst",
            category="Order books",
            subcategory="{book}",
            labels={"part": "all", "figure": "distributions of the features"},
        ),
        autocorrelation=report(
            "results/orderbook/{book}/exploration/autocorrelation.svg",
            caption="../report/autocorrelation.rst",
            category="Order books",
            subcategory="{book}",
            labels={"part": "all", "figure": "autocorrelation of the features"},
        ),
        regimes=report(
            "results/orderbook/{book}/exploration/regimes.svg",
            caption="../report/regimes.rst",
            category="Order books",
            subcategory="{book}",
            labels={"part": "all", "figure": "regimes of volatility and spread"},
        ),
        statistics=report(
            "results/orderbook/{book}/exploration/statistics.csv",
            caption="../report/statistics.rst",
            category="Order books",
            subcategory="{book}",
            labels={"part": "all", "figure": "statistics of the features"},
        ),
    log:
        "logs/orderbook/explore_features/{book}.log",
    benchmark:
        "benchmarks/orderbook/explore_features/{book}.jsonl"
    conda:
        "../envs/data.yaml"
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
            caption="../report/conditions_table.rst",
            category="Order books",
            subcategory="{book}",
            labels={"part": "all", "figure": "conditions of the windows, numbers"},
        ),
        plot=report(
            "results/orderbook/{book}/windows/conditions.svg",
            caption="../report/conditions.rst",
            category="Order books",
            subcategory="{book}",
            labels={"part": "all", "figure": "conditions of the windows"},
        ),
    log:
        "logs/orderbook/balance_windows/{book}.log",
    benchmark:
        "benchmarks/orderbook/balance_windows/{book}.jsonl"
    conda:
        "../envs/data.yaml"
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
