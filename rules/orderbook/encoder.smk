# The encoder of book windows: pretraining, speed, export.
from scripts.orderbook.feeds import books_of


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
            caption="../../report/reconstruction_table.rst",
            category="Order books",
            subcategory="{book}",
            labels={"part": "all", "figure": "hidden entries filled in, table"},
        ),
        plot=report(
            "results/orderbook/{book}/encoder/reconstruction.svg",
            caption="../../report/reconstruction.rst",
            category="Order books",
            subcategory="{book}",
            labels={"part": "all", "figure": "hidden entries filled in"},
        ),
    log:
        "logs/orderbook/pretrain_encoder/{book}.log",
    benchmark:
        "benchmarks/orderbook/pretrain_encoder/{book}.jsonl"
    conda:
        f"../../envs/{CONFIG.orderbook.encoder.launch.pretrain.env}.yaml"
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
            caption="../../report/training.rst",
            category="Order books",
            subcategory="all feeds",
            labels={"part": "all", "figure": "trainings of the encoder"},
        ),
        table=report(
            "results/orderbook/training.csv",
            caption="../../report/training_table.rst",
            category="Order books",
            subcategory="all feeds",
            labels={"part": "all", "figure": "trainings of the encoder, table"},
        ),
    log:
        "logs/orderbook/analyse_training.log",
    benchmark:
        "benchmarks/orderbook/analyse_training.jsonl"
    conda:
        "../../envs/data.yaml"
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
            caption="../../report/latency.rst",
            category="Order books",
            subcategory="{book}",
            labels={"part": "all", "figure": "latency of the encoder"},
        ),
        levels=report(
            "results/orderbook/{book}/inference/levels.csv",
            caption="../../report/levels_table.rst",
            category="Order books",
            subcategory="{book}",
            labels={"part": "all", "figure": "error by level of the book, table"},
        ),
        conditions="results/orderbook/{book}/inference/conditions.csv",
        plot=report(
            "results/orderbook/{book}/inference/levels.svg",
            caption="../../report/levels.rst",
            category="Order books",
            subcategory="{book}",
            labels={"part": "all", "figure": "error by level of the book"},
        ),
    log:
        "logs/orderbook/test_inference/{book}.log",
    benchmark:
        "benchmarks/orderbook/test_inference/{book}.jsonl"
    conda:
        f"../../envs/{CONFIG.orderbook.encoder.launch.inference.env}.yaml"
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
            caption="../../report/parity.rst",
            category="Order books",
            subcategory="{book}",
            labels={"part": "all", "figure": "exported encoder beside the original"},
        ),
    log:
        "logs/orderbook/export_encoder/{book}.log",
    benchmark:
        "benchmarks/orderbook/export_encoder/{book}.jsonl"
    conda:
        "../../envs/train.yaml"
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
