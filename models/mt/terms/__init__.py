"""The constraints that a glossary puts on a text, and the tokens that meet them."""
