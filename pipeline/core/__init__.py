"""The machinery that every pipeline shares: items, stages, ledger, events, artifacts and the runner."""
