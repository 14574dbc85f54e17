"""The harness: latency, quality and speed, measured."""
