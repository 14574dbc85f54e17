"""How glossary files become entries, and how their terms are found in what was heard."""
