"""What was kept, of whom and until when: a list of the files of each session, an audit of voices, and erasure."""
