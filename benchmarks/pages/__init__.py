"""Pictures and pages people read: drawn from figures and rows, never measured here."""
