"""Make a box ready to work: a ledger of idempotent steps, each proven by a check and kept on the box."""
