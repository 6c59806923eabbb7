# Agents that trade on book states, and the check that no stage of the line looks ahead.
from scripts.orderbook.feeds import captures_a_part, captures_of_book, parts_of_book


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
        f"../../envs/{CONFIG.orderbook.agent.launch.env}.yaml"
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
            caption="../../report/agent_table.rst",
            category="Order books",
            subcategory="{book}",
            labels={"part": "all", "figure": "agents and baselines, table"},
        ),
        plot=report(
            "results/orderbook/{book}/agent/evaluation.svg",
            caption="../../report/agent.rst",
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
        f"../../envs/{CONFIG.orderbook.agent.launch.env}.yaml"
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
        "../../envs/train.yaml"
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
