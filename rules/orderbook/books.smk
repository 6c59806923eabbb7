# Raw depth streams to book states.
from scripts.orderbook.feeds import (
    CARRIED,
    FETCHED,
    carried_book,
    chained_books,
    files_beside,
    manifest_of,
    parts_of,
    raw_files,
    whole_books,
)


# On the machine where Snakemake was started, since compute nodes often have no network.
rule fetch_book:
    input:
        manifest=manifest_of(CONFIG.orderbook),
    output:
        raw=FETCHED,
        digest=f"{FETCHED}.sha256",
    log:
        "logs/orderbook/fetch_book/{book}/{part}.log",
    benchmark:
        "benchmarks/orderbook/fetch_book/{book}/{part}.jsonl"
    localrule: True
    conda:
        "../../envs/fetch.yaml"
    threads: 1
    resources:
        mem=growing("1GB"),
        runtime="12h",
    params:
        *code("scripts.orderbook.fetch_book", env="fetch"),
        settings=settings(
            "orderbook.fetch",
            exchange="orderbook.books.{book}.exchange",
            symbol="orderbook.books.{book}.symbol",
        ),
        manifest=lambda wildcards, input: (
            f"--manifest {shlex.quote(input.manifest[0])}" if input.manifest else ""
        ),
    shell:
        "python -m scripts.orderbook.fetch_book --raw {output.raw} --digest {output.digest}"
        " --part {wildcards.part} --store checkpoints/orderbook/fetch_book {params.manifest}"
        " --settings {params.settings:q} > {log} 2>&1"


rule simulate_book:
    output:
        raw="results/orderbook/{book}/raw/{part}.gz",
    log:
        "logs/orderbook/simulate_book/{book}/{part}.log",
    benchmark:
        "benchmarks/orderbook/simulate_book/{book}/{part}.jsonl"
    conda:
        "../../envs/data.yaml"
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
        raw=raw_files(CONFIG.orderbook),
        beside=files_beside(CONFIG.orderbook),
    output:
        states="results/orderbook/{book}/states/{part}.parquet",
        quality="results/orderbook/{book}/quality/{part}.json",
    log:
        "logs/orderbook/parse_book/{book}/{part}.log",
    benchmark:
        "benchmarks/orderbook/parse_book/{book}/{part}.jsonl"
    wildcard_constraints:
        book=whole_books(CONFIG.orderbook),
    conda:
        "../../envs/data.yaml"
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
        carried="",
    shell:
        "python -m scripts.orderbook.parse_book --raw {input.raw:q} --states {output.states}"
        " --quality {output.quality} {params.carried} --settings {params.settings:q} > {log} 2>&1"


# Of feeds whose parts do not begin with a snapshot each: a part goes on with the book that the one before left. The
# books are kept, so that a part that is added later goes on too.
use rule parse_book as parse_book_chained with:
    input:
        raw=raw_files(CONFIG.orderbook),
        beside=files_beside(CONFIG.orderbook),
        book=carried_book(CONFIG.orderbook),
    output:
        states="results/orderbook/{book}/states/{part}.parquet",
        quality="results/orderbook/{book}/quality/{part}.json",
        book=CARRIED,
    wildcard_constraints:
        book=chained_books(CONFIG.orderbook),
    params:
        *code("scripts.orderbook.parse_book", env="data"),
        settings=settings(
            "orderbook.parse",
            venue="orderbook.books.{book}.venue",
            symbol="orderbook.books.{book}.symbol",
        ),
        carried=lambda wildcards, input, output: (
            f"--book-out {output.book}"
            + (f" --book-in {input.book}" if input.book else "")
        ),


rule plot_book:
    input:
        states="results/orderbook/{book}/states/{part}.parquet",
    output:
        plot=report(
            "results/orderbook/{book}/plots/{part}.svg",
            caption="../../report/book.rst",
            category="Order books",
            subcategory="{book}",
            labels={"part": "{part}", "figure": "price ladder, spread and depth"},
        ),
    log:
        "logs/orderbook/plot_book/{book}/{part}.log",
    benchmark:
        "benchmarks/orderbook/plot_book/{book}/{part}.jsonl"
    conda:
        "../../envs/data.yaml"
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
            caption="../../report/summary.rst",
            category="Order books",
            subcategory="all feeds",
            labels={"part": "all", "figure": "summary of the feeds"},
        ),
    log:
        "logs/orderbook/summarise_books.log",
    benchmark:
        "benchmarks/orderbook/summarise_books.jsonl"
    conda:
        "../../envs/data.yaml"
    threads: 1
    resources:
        mem=growing("1GB"),
        runtime="10m",
    params:
        *code("scripts.orderbook.summarise_books", env="data"),
    shell:
        "python -m scripts.orderbook.summarise_books --quality {input.quality} --summary {output.summary}"
        " > {log} 2>&1"
