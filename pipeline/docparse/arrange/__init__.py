"""From raw boxes to regions: pure steps, each logged, each reversible by its parameters."""
