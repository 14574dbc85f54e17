"""The beam search: what it is asked, how it chooses, and what it keeps."""
