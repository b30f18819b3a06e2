"""The servers that `benchmarks.live_fanout` compares: each sends the same to everybody, so many times a second."""
