"""`spotter index learn`, `build-qa` and `report`: how good the index is, and what makes it better."""

from __future__ import annotations
