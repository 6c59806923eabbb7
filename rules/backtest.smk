# Backtests, for all lines: predictions to an account, its benchmarks and stresses, a verdict and a page. A line whose
# account comes from elsewhere (fills of its own) names the account's folder in ACCOUNTS; the rules from judge_backtest
# on are the same for all. One file a stage, in the order of the data.
from scripts.backtest.runs import LineAccount, is_checked

# Accounts that lines end in.
ACCOUNTS = {
    f"orderbook-{book}": LineAccount(
        f"results/orderbook/{book}/agent/account",
        f"results/orderbook/{book}/causality.json",
        category="Order books",
        subject=book,
    )
    for book in CONFIG.orderbook.feeds
}
BACKTESTS = [*CONFIG.backtest.active, *ACCOUNTS]
CHECKED = [name for name in BACKTESTS if is_checked(CONFIG.backtest, name)]


wildcard_constraints:
    backtest="[A-Za-z0-9][A-Za-z0-9_-]*",
    prices="[A-Za-z0-9][A-Za-z0-9_-]*",
    trial="[0-9]+-[0-9]+-[0-9]+",
    setting="[0-9]+",


include: "backtest/predictions.smk"
include: "backtest/accounts.smk"
include: "backtest/judging.smk"
