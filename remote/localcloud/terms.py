"""What was agreed with a create: what is wrong with the instance, and until when it is rented."""

from __future__ import annotations

from remote.localcloud.catalogue import BY_OFFER, DAY_S
from remote.localcloud.effects import Effects
from remote.localcloud.store import Contract


def effects_of(contract: Contract) -> Effects:
    """What is wrong with it."""
    return Effects.model_validate(contract.effects)


def ends_at(contract: Contract) -> float:
    """When its host ends the contract, in virtual unix seconds."""
    after_s = effects_of(contract).ends_after_s
    return contract.created_at + (BY_OFFER[contract.offer_id].days * DAY_S if after_s is None else after_s)
