"""Account of what was kept, of whom and until when: the files of each session, an audit of voices, and erasure."""
