"""How a translation is cut into reading units: boundaries, agreement, and the policy that uses both."""
