"""The decoding step of a loaded model: prompts, caches, and steps recorded in fixed sizes."""
