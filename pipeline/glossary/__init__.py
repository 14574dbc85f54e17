"""Glossaries: files become entries, whose terms are found in what was heard."""
