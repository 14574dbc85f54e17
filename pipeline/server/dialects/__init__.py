"""Wire protocols: each turns client messages into `pipeline.server.asked` events, and session events into messages."""
