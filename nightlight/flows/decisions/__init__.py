"""Who sees what: decisions, the change feed behind them, blocks, abuse signals, and serving renditions."""
