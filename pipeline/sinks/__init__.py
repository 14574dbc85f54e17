"""What a session leaves for people and programs: captions, the live console, the event log and its summary."""
