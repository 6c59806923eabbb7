# Gates, for all lines: what was trained or backtested is judged, and what passes is promoted. Nothing that is judged
# reads the thresholds, so a change of one judges again and trains nothing. Promoted folders are no outputs: Snakemake
# would delete them before a rerun.
from scripts.gates.stages import (
    LINES,
    PROMOTED,
    STAGE_NAMES,
    SUBJECT,
    VERDICT,
    expired_waivers,
    judged_artifacts,
    judged_metrics,
    promotions,
    verdicts,
)

VERDICTS = [
    *verdicts("orderbook", "encoder", CONFIG.orderbook.feeds),
    *verdicts("backtest", "backtest", BACKTESTS),
]
PROMOTIONS = [
    *promotions("orderbook", "encoder", CONFIG.orderbook.feeds),
    *promotions("backtest", "backtest", BACKTESTS),
]


# Ends well whatever it finds, so that a report can tell of a failure.
rule evaluate_gate:
    input:
        metrics=judged_metrics,
        artifacts=judged_artifacts,
    output:
        verdict=VERDICT,
        page=report(
            "results/{line}/gates/{stage}/{subject}.html",
            caption="../report/gate.rst",
            category="Gates",
            subcategory="{line}",
            labels={"part": "{subject}", "figure": "gate of the {stage}"},
        ),
    log:
        "logs/gates/evaluate_gate/{line}/{stage}/{subject}.log",
    benchmark:
        "benchmarks/gates/evaluate_gate/{line}/{stage}/{subject}.jsonl"
    wildcard_constraints:
        line=LINES,
        stage=STAGE_NAMES,
        subject=SUBJECT,
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem=growing("1GB"),
        runtime="1h",
    params:
        *code("scripts.gates.evaluate_gate", env="data"),
        settings=settings("gates.{line}.{stage}"),
        expired=expired_waivers(CONFIG.gates),
    shell:
        "python -m scripts.gates.evaluate_gate --metrics {input.metrics} --artifacts {input.artifacts}"
        " --line {wildcards.line} --stage {wildcards.stage} --subject {wildcards.subject}"
        " --verdict {output.verdict} --page {output.page} --promoted results/{wildcards.line}/promoted"
        " --settings {params.settings:q} > {log} 2>&1"


rule promote:
    input:
        verdict=VERDICT,
        metrics=judged_metrics,
        artifacts=judged_artifacts,
    output:
        marker=PROMOTED,
    log:
        "logs/gates/promote/{line}/{stage}/{subject}.log",
    benchmark:
        "benchmarks/gates/promote/{line}/{stage}/{subject}.jsonl"
    wildcard_constraints:
        line=LINES,
        stage=STAGE_NAMES,
        subject=SUBJECT,
    conda:
        "../envs/data.yaml"
    threads: 1
    resources:
        mem=growing("1GB"),
        runtime="1h",
    params:
        *code("scripts.gates.promote", env="data"),
    shell:
        "python -m scripts.gates.promote --verdict {input.verdict} --metrics {input.metrics}"
        " --artifacts {input.artifacts} --promoted results/{wildcards.line}/promoted --marker {output.marker}"
        " > {log} 2>&1"
