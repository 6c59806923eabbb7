# Tidemill: raw market data and raw text to trained, gated, backtested and reported financial models.
# This file is an index; the rules stand in rules/, one file or folder a line, their programs in scripts/ under the same
# names.
from snakemake.utils import min_version

min_version("9.25")


configfile: f"{workflow.basedir}/config/config.yaml"


report: "report/workflow.rst"


include: "rules/common.smk"
include: "rules/orderbook.smk"
include: "rules/backtest.smk"
include: "rules/gates.smk"
include: "rules/report.smk"
include: "rules/preflight.smk"


rule orderbook:
    input:
        parts_of(CONFIG.orderbook, "results/orderbook/{book}/plots/{part}.svg"),
        rules.summarise_books.output if CONFIG.orderbook.feeds else [],
        books_of(CONFIG.orderbook, rules.explore_features.output.statistics),
        books_of(CONFIG.orderbook, rules.balance_windows.output.plot),
        books_of(CONFIG.orderbook, rules.pretrain_encoder.output.plot),
        rules.analyse_training.output if CONFIG.orderbook.feeds else [],
        books_of(CONFIG.orderbook, rules.test_inference.output.plot),
        books_of(CONFIG.orderbook, rules.export_encoder.output.parity),
        books_of(CONFIG.orderbook, rules.evaluate_agent.output.evaluation),
        expand(rules.draw_tear_sheet.output.page, backtest=ACCOUNTS),
        expand(rules.require_causality.output.passed, backtest=ACCOUNTS),


rule backtest:
    input:
        expand(rules.draw_tear_sheet.output.page, backtest=CONFIG.backtest.active),
        [
            rules.require_causality.output.passed.format(backtest=name)
            for name in CONFIG.backtest.active
            if name in CHECKED
        ],


rule gates:
    input:
        VERDICTS,


# Fails where a gate does: what passed is kept for good, the rest is named.
rule promotions:
    input:
        PROMOTIONS,


rule preflight:
    input:
        rules.check_gpus_pair.output,
        rules.check_gpus_node.output,


rule all:
    default_target: True
    input:
        rules.orderbook.input,
        rules.backtest.input,
        rules.gates.input,
        rules.write_overview.output,
