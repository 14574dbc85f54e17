"""The beam search, and its interface to models."""
