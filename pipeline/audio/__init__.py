"""Files, microphones and speakers."""
