# Order books: raw depth streams to book states.
from scripts.orderbook.feeds import parts_of, raw_file


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
        settings=settings("orderbook.simulate", symbol="orderbook.books.{book}.symbol"),
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
