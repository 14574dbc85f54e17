"""The server: one process, one engine, a session a client; needs the extra ``serve``."""
