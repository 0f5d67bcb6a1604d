"""The price that an operator said yes to is the most that is paid for the offer that they chose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from remote.cloud import OfferQuery
from remote.provision import OverBudget, ProvisionFailed, RentRequest
from tests.remote.scripted import World

AT = 0.30 + 40 * 0.72 / 720
"""What the scripted offers cost an hour with 40 GB: $0.34."""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def request(agreed: float) -> RentRequest:
    return RentRequest(OfferQuery(disk_gb=40), "image", image_gb=10, offer_id=3, agreed_usd_per_hour=agreed)


def test_a_chosen_offer_is_rented_at_what_was_agreed_to(world: World) -> None:
    assert world.provisioner.provision(request(AT + 1e-9)).instance.id == 3


def test_one_that_became_dearer_before_the_deal_is_not_rented(world: World) -> None:
    world.cloud.offers = [replace(each, gpu_usd_per_hour=0.31) for each in world.cloud.offers]
    with pytest.raises(OverBudget, match=r"offer 3 costs \$0\.3500/h by now, more than the \$0\.3401/h"):
        world.provisioner.provision(request(0.3401))
    assert world.cloud.calls == []
    assert world.ledger.instances(alive_only=True) == []


def test_one_that_became_dearer_with_the_deal_is_destroyed(world: World) -> None:
    world.cloud.life = lambda _age: {"usd_per_hour": 0.50}
    with pytest.raises(ProvisionFailed, match="dearer than what was agreed to"):
        world.provisioner.provision(request(0.3401))
    assert world.cloud.calls == ["create 3", "destroy 3"]
    assert world.ledger.instances(alive_only=True) == []


def test_without_a_price_agreed_to_the_caps_alone_decide(world: World) -> None:
    world.cloud.offers = [replace(each, gpu_usd_per_hour=2.0) for each in world.cloud.offers]
    world.provisioner.provision(RentRequest(OfferQuery(disk_gb=40), "image", image_gb=10, offer_id=3))
    assert world.cloud.calls[0] == "create 3"
