"""translate-live: three concurrent stages that hear speech and speak its translation."""
