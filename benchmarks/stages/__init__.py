"""Results of the stage benchmarks (``--json FILE``), read again: beside their named peers, and against their targets."""
