"""Every misfortune that the marketplace knows by name, with real boxes and virtual hours: nobody's dollar is lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from remote.cloud import CloudError
from remote.localcloud.scenarios import NAMED
from remote.progress import Progress
from remote.provision import ProvisionError, ProvisionFailed, Rental
from remote.states import IN_USE
from tests.remote.stepped import LIMITS, REQUEST, Bench, destroy_all, stepped_market

WATCHED_S = 1680
"""How long a box that was had is watched, virtually: what befalls it later happens within this."""


@dataclass(frozen=True)
class Ends:
    """How a request ends in a scenario: its state, and what failed on the way (state and words of each attempt)."""

    state: str
    failed: tuple[tuple[str, str], ...] = ()
    error: str = ""
    later: str = ""
    """The state of the box after it was watched, where it is not what it was."""


VERIFIED = Ends("verified")
EXPECTED = {
    "happy": VERIFIED,
    "slow_pull": Ends("verified", (("pulling", "not running within the limit of pulling"),)),
    "frozen_msg": VERIFIED,
    "refused_3min": VERIFIED,
    "blackhole_direct": VERIFIED,
    "blackhole_proxy": VERIFIED,
    "blackhole_both": Ends("verified", (("booting", "nothing answers"),)),
    "silent_ssh": Ends("verified", (("booting", "nothing answers"),)),
    "key_lag": VERIFIED,
    "key_never": Ends("verified", (("reachable", "our key is not let in"),)),
    "account_key_ignored": VERIFIED,
    "double_sell": Ends("verified", (("allocated", "not running within the limit of allocated"),)),
    "gone_offer": VERIFIED,
    "unrentable": Ends("failed", error="were rented by others meanwhile"),
    "create_timeout": VERIFIED,
    "create_lost": VERIFIED,
    "kept_refusal": VERIFIED,
    "late_sight": VERIFIED,
    "late_ports": VERIFIED,
    "oci_fail": Ends("verified", (("allocated", "OCI runtime create failed"),)),
    "no_space": Ends("verified", (("pulling", "no space left on device"),)),
    "bad_image": Ends("failed", (("pulling", "the image cannot be pulled"),), "every machine would fail alike"),
    "wrong_gpu": Ends("verified", (("authed", "its GPU is a"),)),
    "small_disk": Ends("verified", (("authed", "its disk has"),)),
    "clock_skew": Ends("verified", (("authed", "its clock is +"),)),
    "exited": Ends("verified", later="stopped"),
    "host_offline_midjob": Ends("verified", later="lost"),
    "host_reboot": VERIFIED,
    "ssh_cut": VERIFIED,
    "ssh_frozen": VERIFIED,
    "disk_full": VERIFIED,
    "credit_out": Ends("verified", later="stopped"),
    "ends_soon": VERIFIED,
    "outbid": Ends("verified", later="stopped"),
    "429_storm": VERIFIED,
    "intervals": VERIFIED,
    "quota": Ends("failed", error="searches of this day are used up"),
    "wan80ms": VERIFIED,
}
"""`soak`, and whatever is added, is held to the bill alone."""
IMPATIENT = replace(LIMITS, silent_s=30, rebooted_s=30, poll_s=30)
"""Where nobody answers, each attempt takes the real time of its timeouts: few must do."""


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with stepped_market(tmp_path_factory.mktemp("scenarios")) as made:
        yield made


@pytest.fixture
def bench(market: Bench, tmp_path: Path) -> Iterator[Bench]:
    yield market.fresh(tmp_path)
    market.behave()


@pytest.mark.parametrize("name", NAMED)
def test_a_named_scenario_ends_well_or_with_reasons_and_costs_what_the_ledger_says(bench: Bench, name: str) -> None:
    provisioner = bench.provisioner(IMPATIENT if name in ("blackhole_both", "silent_ssh") else LIMITS)
    bench.scenario(name)
    rental: Rental | None = None
    error: Exception | None = None
    try:
        rental = provisioner.provision(REQUEST, bench.told.append)
    except (ProvisionError, CloudError) as caught:
        error = caught
    bench.assert_no_stranger_lives()
    state = _state_after_watching(bench, rental)
    bench.control("DELETE", "scenario")
    destroy_all(bench, provisioner)
    bench.assert_counted_to_the_cent()
    provisioner.reconcile(bench.told.append)
    assert bench.alive == bench.known == set()
    assert bench.ledger.intents(unsettled_only=True) == []
    (request,) = bench.ledger.requests()
    assert request.state in ("gone", "failed")
    bench.assert_settled()

    expected = EXPECTED.get(name)
    if expected is None:
        return
    attempts = rental.attempts if rental is not None else getattr(error, "attempts", ())
    said = [(each.state, each.reason) for each in attempts]
    assert [state for state, _reason in said] == [state for state, _words in expected.failed], said
    for (_state, reason), (_its, words) in zip(said, expected.failed, strict=True):
        assert words in reason
    assert (rental is not None) == (expected.state == "verified"), error
    assert expected.error in str(error or "")
    if isinstance(error, ProvisionFailed) and attempts:
        assert all(each.reason in str(error) for each in attempts)
    assert state == (expected.later or ("verified" if rental is not None else None))


def _state_after_watching(bench: Bench, rental: Rental | None) -> str | None:
    """Watch the box as a console does, far enough apart that a host that is away is noticed twice."""
    if rental is None:
        return None
    provisioner = bench.provisioner()
    for _ in range(WATCHED_S // 120):
        bench.clock.sleep(120)
        try:
            provisioner.look_after(bench.told.append)
        except CloudError as error:
            bench.told.append(Progress("watching", str(error)))
    row = bench.ledger.instance("local", rental.instance.id)
    assert row is not None
    return row.state


def test_every_scenario_has_an_expectation_but_those_of_chance() -> None:
    assert set(EXPECTED) <= set(NAMED)
    assert set(NAMED) - set(EXPECTED) <= {"soak"}
    assert {each.later for each in EXPECTED.values()} - {""} <= {"stopped", "lost"} - set(IN_USE)
