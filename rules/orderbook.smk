# Order books: raw depth streams to book states and their features.
from scripts.orderbook.feeds import (
    CARRIED,
    FETCHED,
    books_of,
    captures_a_part,
    captures_of_book,
    carried_book,
    chained_books,
    files_beside,
    manifest_of,
    parts_of,
    parts_of_book,
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
        "../envs/fetch.yaml"
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


rule pretrain_encoder:
    input:
        train="results/orderbook/{book}/windows/train.npy",
        validation="results/orderbook/{book}/windows/validation.npy",
        test="results/orderbook/{book}/windows/test.npy",
        windows="results/orderbook/{book}/windows/windows.parquet",
        scaling="results/orderbook/{book}/windows/scaling.json",
    output:
        model="results/orderbook/{book}/encoder/model.safetensors",
        encoder="results/orderbook/{book}/encoder/encoder.json",
        metrics="results/orderbook/{book}/encoder/metrics.json",
        history="results/orderbook/{book}/encoder/history.jsonl",
        reconstruction=report(
            "results/orderbook/{book}/encoder/reconstruction.csv",
            caption="../report/reconstruction_table.rst",
            category="Order books",
            subcategory="{book}",
            labels={"part": "all", "figure": "hidden entries filled in, table"},
        ),
        plot=report(
            "results/orderbook/{book}/encoder/reconstruction.svg",
            caption="../report/reconstruction.rst",
            category="Order books",
            subcategory="{book}",
            labels={"part": "all", "figure": "hidden entries filled in"},
        ),
    log:
        "logs/orderbook/pretrain_encoder/{book}.log",
    benchmark:
        "benchmarks/orderbook/pretrain_encoder/{book}.jsonl"
    conda:
        f"../envs/{CONFIG.orderbook.encoder.launch.pretrain.env}.yaml"
    threads: CONFIG.orderbook.encoder.launch.pretrain.cpus
    resources:
        gpu=CONFIG.orderbook.encoder.launch.pretrain.gpu,
        processes=CONFIG.orderbook.encoder.launch.pretrain.gpu,
        mem=CONFIG.orderbook.encoder.launch.pretrain.mem,
        runtime=CONFIG.orderbook.encoder.launch.pretrain.runtime,
    params:
        *code(
            "scripts.orderbook.pretrain_encoder",
            env=CONFIG.orderbook.encoder.launch.pretrain.env,
        ),
        settings=settings("orderbook.encoder.pretrain"),
    shell:
        launch("scripts.orderbook.pretrain_encoder")
        + " --train-windows {input.train} --validation-windows {input.validation} --test-windows {input.test}"
        " --windows {input.windows} --scaling {input.scaling} --model {output.model} --encoder {output.encoder}"
        " --metrics {output.metrics} --history {output.history} --reconstruction {output.reconstruction}"
        " --plot {output.plot} --checkpoints checkpoints/orderbook/pretrain_encoder/{wildcards.book}"
        " --gpus {resources.processes} --title {wildcards.book} --settings {params.settings:q} > {log} 2>&1"


rule analyse_training:
    input:
        history=books_of(
            CONFIG.orderbook, "results/orderbook/{book}/encoder/history.jsonl"
        ),
    output:
        curves=report(
            "results/orderbook/training.svg",
            caption="../report/training.rst",
            category="Order books",
            subcategory="all feeds",
            labels={"part": "all", "figure": "trainings of the encoder"},
        ),
        table=report(
            "results/orderbook/training.csv",
            caption="../report/training_table.rst",
            category="Order books",
            subcategory="all feeds",
            labels={"part": "all", "figure": "trainings of the encoder, table"},
        ),
    log:
        "logs/orderbook/analyse_training.log",
    benchmark:
        "benchmarks/orderbook/analyse_training.jsonl"
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem=growing("1GB"),
        runtime="10m",
    params:
        *code("scripts.orderbook.analyse_training", env="data"),
        names=CONFIG.orderbook.feeds,
    shell:
        "python -m scripts.orderbook.analyse_training --history {input.history} --names {params.names}"
        " --curves {output.curves} --table {output.table} > {log} 2>&1"


rule test_inference:
    input:
        model="results/orderbook/{book}/encoder/model.safetensors",
        encoder="results/orderbook/{book}/encoder/encoder.json",
        test="results/orderbook/{book}/windows/test.npy",
        windows="results/orderbook/{book}/windows/windows.parquet",
        scaling="results/orderbook/{book}/windows/scaling.json",
    output:
        latency="results/orderbook/{book}/inference/latency.csv",
        latency_page=report(
            "results/orderbook/{book}/inference/latency.html",
            caption="../report/latency.rst",
            category="Order books",
            subcategory="{book}",
            labels={"part": "all", "figure": "latency of the encoder"},
        ),
        levels=report(
            "results/orderbook/{book}/inference/levels.csv",
            caption="../report/levels_table.rst",
            category="Order books",
            subcategory="{book}",
            labels={"part": "all", "figure": "error by level of the book, table"},
        ),
        conditions="results/orderbook/{book}/inference/conditions.csv",
        plot=report(
            "results/orderbook/{book}/inference/levels.svg",
            caption="../report/levels.rst",
            category="Order books",
            subcategory="{book}",
            labels={"part": "all", "figure": "error by level of the book"},
        ),
    log:
        "logs/orderbook/test_inference/{book}.log",
    benchmark:
        "benchmarks/orderbook/test_inference/{book}.jsonl"
    conda:
        f"../envs/{CONFIG.orderbook.encoder.launch.inference.env}.yaml"
    threads: CONFIG.orderbook.encoder.launch.inference.cpus
    resources:
        gpu=CONFIG.orderbook.encoder.launch.inference.gpu,
        processes=CONFIG.orderbook.encoder.launch.inference.gpu,
        mem=CONFIG.orderbook.encoder.launch.inference.mem,
        runtime=CONFIG.orderbook.encoder.launch.inference.runtime,
    params:
        *code(
            "scripts.orderbook.test_inference",
            env=CONFIG.orderbook.encoder.launch.inference.env,
        ),
        settings=settings("orderbook.encoder.inference"),
    shell:
        "python -m scripts.orderbook.test_inference --model {input.model} --encoder {input.encoder}"
        " --test-windows {input.test} --windows {input.windows} --scaling {input.scaling}"
        " --latency {output.latency} --latency-page {output.latency_page} --levels {output.levels} --conditions {output.conditions} --plot {output.plot}"
        " --gpus {resources.processes} --title {wildcards.book} --settings {params.settings:q} > {log} 2>&1"


rule export_encoder:
    input:
        model="results/orderbook/{book}/encoder/model.safetensors",
        encoder="results/orderbook/{book}/encoder/encoder.json",
        test="results/orderbook/{book}/windows/test.npy",
    output:
        script="results/orderbook/{book}/export/encoder.pt",
        program="results/orderbook/{book}/export/encoder.pt2",
        parity=report(
            "results/orderbook/{book}/export/parity.json",
            caption="../report/parity.rst",
            category="Order books",
            subcategory="{book}",
            labels={"part": "all", "figure": "exported encoder beside the original"},
        ),
    log:
        "logs/orderbook/export_encoder/{book}.log",
    benchmark:
        "benchmarks/orderbook/export_encoder/{book}.jsonl"
    conda:
        "../envs/train.yaml"
    threads: 1
    resources:
        mem=growing("4GB"),
        runtime="30m",
    params:
        *code("scripts.orderbook.export_encoder", env="train"),
        settings=settings("orderbook.encoder.export"),
    shell:
        "python -m scripts.orderbook.export_encoder --model {input.model} --encoder {input.encoder}"
        " --test-windows {input.test} --script {output.script} --program {output.program} --parity {output.parity}"
        " --settings {params.settings:q} > {log} 2>&1"


rule train_agent:
    input:
        states=parts_of_book(
            CONFIG.orderbook, "results/orderbook/{book}/states/{part}.parquet"
        ),
        windows="results/orderbook/{book}/windows/windows.parquet",
        scaling="results/orderbook/{book}/windows/scaling.json",
        encoder="results/orderbook/{book}/encoder/model.safetensors",
        encoder_config="results/orderbook/{book}/encoder/encoder.json",
    output:
        policy="results/orderbook/{book}/agent/{seed}/policy.safetensors",
        agent="results/orderbook/{book}/agent/{seed}/agent.json",
        history="results/orderbook/{book}/agent/{seed}/history.csv",
    log:
        "logs/orderbook/train_agent/{book}/{seed}.log",
    benchmark:
        "benchmarks/orderbook/train_agent/{book}/{seed}.jsonl"
    conda:
        f"../envs/{CONFIG.orderbook.agent.launch.env}.yaml"
    threads: CONFIG.orderbook.agent.launch.cpus
    resources:
        gpu=CONFIG.orderbook.agent.launch.gpu,
        processes=CONFIG.orderbook.agent.launch.gpu,
        mem=CONFIG.orderbook.agent.launch.mem,
        runtime=CONFIG.orderbook.agent.launch.runtime,
    params:
        *code("scripts.orderbook.train_agent", env=CONFIG.orderbook.agent.launch.env),
        settings=settings(
            "orderbook.agent.train",
            trading="orderbook.agent.trading",
            known_levels="orderbook.balance.known_levels",
        ),
    shell:
        "python -m scripts.orderbook.train_agent --states {input.states} --windows {input.windows}"
        " --scaling {input.scaling} --encoder {input.encoder} --encoder-config {input.encoder_config}"
        " --policy {output.policy} --agent {output.agent} --history {output.history}"
        " --checkpoints checkpoints/orderbook/train_agent/{wildcards.book} --seed {wildcards.seed}"
        " --gpus {resources.processes} --settings {params.settings:q} > {log} 2>&1"


rule evaluate_agent:
    input:
        states=parts_of_book(
            CONFIG.orderbook, "results/orderbook/{book}/states/{part}.parquet"
        ),
        windows="results/orderbook/{book}/windows/windows.parquet",
        scaling="results/orderbook/{book}/windows/scaling.json",
        encoder="results/orderbook/{book}/encoder/model.safetensors",
        encoder_config="results/orderbook/{book}/encoder/encoder.json",
        policies=expand(
            "results/orderbook/{{book}}/agent/{seed}/policy.safetensors",
            seed=CONFIG.orderbook.agent.seeds,
        ),
        agents=expand(
            "results/orderbook/{{book}}/agent/{seed}/agent.json",
            seed=CONFIG.orderbook.agent.seeds,
        ),
    output:
        evaluation=report(
            "results/orderbook/{book}/agent/evaluation.csv",
            caption="../report/agent_table.rst",
            category="Order books",
            subcategory="{book}",
            labels={"part": "all", "figure": "agents and baselines, table"},
        ),
        plot=report(
            "results/orderbook/{book}/agent/evaluation.svg",
            caption="../report/agent.rst",
            category="Order books",
            subcategory="{book}",
            labels={"part": "all", "figure": "agents and baselines"},
        ),
        trades="results/orderbook/{book}/agent/trades.csv",
        equity="results/orderbook/{book}/agent/equity.csv",
        predictions="results/orderbook/{book}/agent/predictions.parquet",
        account="results/orderbook/{book}/agent/account/account.json",
        account_equity="results/orderbook/{book}/agent/account/equity.csv",
        account_trades="results/orderbook/{book}/agent/account/trades.csv",
        account_benchmarks="results/orderbook/{book}/agent/account/benchmarks.csv",
        stress="results/orderbook/{book}/agent/account/stress.csv",
    log:
        "logs/orderbook/evaluate_agent/{book}.log",
    benchmark:
        "benchmarks/orderbook/evaluate_agent/{book}.jsonl"
    conda:
        f"../envs/{CONFIG.orderbook.agent.launch.env}.yaml"
    threads: 2
    resources:
        mem=growing("8GB"),
        runtime="4h",
    params:
        *code("scripts.orderbook.evaluate_agent", env=CONFIG.orderbook.agent.launch.env),
        settings=settings(
            "orderbook.agent.evaluate",
            trading="orderbook.agent.trading",
            known_levels="orderbook.balance.known_levels",
            simulated="orderbook.books.{book}.is_simulated",
        ),
    shell:
        "python -m scripts.orderbook.evaluate_agent --states {input.states} --windows {input.windows}"
        " --scaling {input.scaling} --encoder {input.encoder} --encoder-config {input.encoder_config}"
        " --policies {input.policies} --agents {input.agents} --evaluation {output.evaluation} --plot {output.plot}"
        " --trades {output.trades} --equity {output.equity} --predictions {output.predictions}"
        " --account {output.account} --account-equity {output.account_equity} --account-trades {output.account_trades}"
        " --account-benchmarks {output.account_benchmarks} --stress {output.stress}"
        " --asset {wildcards.book} --settings {params.settings:q} > {log} 2>&1"


# All stages once more, from captures changed after an instant: nothing up to then may change. It writes its report
# whatever it says; require_causality is what fails.
rule check_book_causality:
    input:
        raw=captures_of_book(CONFIG.orderbook),
        windows="results/orderbook/{book}/windows/windows.parquet",
        scaling="results/orderbook/{book}/windows/scaling.json",
        encoder="results/orderbook/{book}/encoder/model.safetensors",
        encoder_config="results/orderbook/{book}/encoder/encoder.json",
        policies=expand(
            "results/orderbook/{{book}}/agent/{seed}/policy.safetensors",
            seed=CONFIG.orderbook.agent.seeds,
        ),
        agents=expand(
            "results/orderbook/{{book}}/agent/{seed}/agent.json",
            seed=CONFIG.orderbook.agent.seeds,
        ),
    output:
        report="results/orderbook/{book}/causality.json",
    log:
        "logs/orderbook/check_book_causality/{book}.log",
    benchmark:
        "benchmarks/orderbook/check_book_causality/{book}.jsonl"
    conda:
        "../envs/train.yaml"
    threads: 1
    resources:
        mem=growing("8GB"),
        runtime="1d",
    params:
        *code("scripts.orderbook.check_book_causality", env="train"),
        settings=settings(
            "orderbook.causality",
            venue="orderbook.books.{book}.venue",
            symbol="orderbook.books.{book}.symbol",
            chained="orderbook.books.{book}.is_chained",
            parse="orderbook.parse",
            features="orderbook.features",
            balance="orderbook.balance",
            evaluate="orderbook.agent.evaluate",
            trading="orderbook.agent.trading",
        ),
        parts=lambda wildcards: CONFIG.orderbook.books[wildcards.book].parts,
        captures=captures_a_part(CONFIG.orderbook),
    shell:
        "python -m scripts.orderbook.check_book_causality --raw {input.raw:q} --parts {params.parts}"
        " --files-a-part {params.captures} --windows {input.windows} --scaling {input.scaling}"
        " --encoder {input.encoder} --encoder-config {input.encoder_config} --policies {input.policies}"
        " --agents {input.agents} --report {output.report} --asset {wildcards.book}"
        " --settings {params.settings:q} > {log} 2>&1"
