"""The thin client: sources and sinks of this machine, models of a server (`docs/server.md`)."""
