"""From what a user asked for to a running session: the request checked, a profile chosen, inputs and outputs opened."""
