"""The three concurrent stages of a session, and the stream time they share."""
