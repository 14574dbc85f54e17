"""The server: one process, one engine, a session a client; needs the extra ``serve``."""

import logging

LOG = logging.getLogger("translate_live.server")
"""Ids and numbers only: no text, audio or key is ever logged."""
