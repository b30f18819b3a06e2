"""A small real world to watch: a chain, two exchanges, traders and an arbitrage bot, all on this machine."""
