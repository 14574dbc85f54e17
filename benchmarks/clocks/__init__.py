"""Time a run is measured on: real, virtual with queues, or computation-unaware. A run is on one of them, never on two."""
