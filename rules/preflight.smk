# What a GPU job really gets from the cluster, tried in minutes before work of days.


rule check_gpus_pair:
    output:
        result="results/preflight/pair.json",
    log:
        "logs/preflight/check_gpus_pair.log",
    benchmark:
        "benchmarks/preflight/check_gpus_pair.jsonl"
    conda:
        f"../envs/{CONFIG.preflight.launch.pair.env}.yaml"
    threads: CONFIG.preflight.launch.pair.cpus
    resources:
        gpu=CONFIG.preflight.launch.pair.gpu,
        processes=CONFIG.preflight.launch.pair.gpu,
        mem=CONFIG.preflight.launch.pair.mem,
        runtime=CONFIG.preflight.launch.pair.runtime,
    params:
        *code("scripts.preflight.check_gpus", env=CONFIG.preflight.launch.pair.env),
        settings=settings("preflight.check"),
    shell:
        launch("scripts.preflight.check_gpus")
        + " --result {output.result} --gpus {resources.processes} --settings {params.settings:q} > {log} 2>&1"


use rule check_gpus_pair as check_gpus_node with:
    output:
        result="results/preflight/node.json",
    log:
        "logs/preflight/check_gpus_node.log",
    benchmark:
        "benchmarks/preflight/check_gpus_node.jsonl"
    conda:
        f"../envs/{CONFIG.preflight.launch.node.env}.yaml"
    threads: CONFIG.preflight.launch.node.cpus
    resources:
        gpu=CONFIG.preflight.launch.node.gpu,
        processes=CONFIG.preflight.launch.node.gpu,
        mem=CONFIG.preflight.launch.node.mem,
        runtime=CONFIG.preflight.launch.node.runtime,
    params:
        *code("scripts.preflight.check_gpus", env=CONFIG.preflight.launch.node.env),
        settings=settings("preflight.check"),
