# Order books, from raw depth streams to agents that trade on them: one file a stage, in the order of the data.
include: "orderbook/books.smk"
include: "orderbook/features.smk"
include: "orderbook/encoder.smk"
include: "orderbook/agent.smk"
