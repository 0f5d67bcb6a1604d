"""What runs on a rented box or on the laptop: stages over an immutable manifest, with a ledger of what is done."""
