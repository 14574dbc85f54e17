"""What a glossary demands of a text, and the tokens that would write it."""
