"""A workspace's boosts as its policy says, in `tags/boosts.json` where the search reads them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from index.boosts import Boosts, read_boosts, write_boosts
from index.tags.catalog import Catalog
from index.tags.errors import BadPolicy
from index.tags.policy import Policy, policy_boosts
from index.tags.policy_file import read_policy, workspace_policy

FILE = Path("tags") / "boosts.json"


@dataclass(frozen=True)
class PolicyBoosts:
    """What a policy makes of a workspace's boosts."""

    policy: Policy
    now: Boosts
    """What counts now."""
    wanted: Boosts
    """What the policy says; boosts of types stay as they are now."""

    @property
    def changed(self) -> dict[str, tuple[float, float]]:
        """Tags, zones and groups whose factor changes: before, after; by name."""
        found: dict[str, tuple[float, float]] = {}
        for before, after in (
            (self.now.groups, self.wanted.groups),
            (self.now.tags, self.wanted.tags),
            (self.now.zones, self.wanted.zones),
        ):
            for name in {**before, **after}:
                pair = before.get(name, 1.0), after.get(name, 1.0)
                if pair[0] != pair[1]:
                    found[name] = pair
        return dict(sorted(found.items()))


def policy_of(workspace: Path, path: Path | None, phase: str | None) -> Policy:
    """The policy of a file, or the one that counts in the workspace, with this phase in force if one is named.

    Raises:
        BadPolicy: it can't be used, or has no such phase.
    """
    policy = workspace_policy(workspace) if path is None else read_policy(path)
    return policy if phase is None else policy.in_phase(phase)


def boosts_by_policy(workspace: Path, catalog: Catalog, policy: Policy) -> PolicyBoosts:
    """What a policy makes of the boosts that count now. Raises BadPolicy, BoostsInvalid."""
    now = read_boosts(workspace / FILE)
    return PolicyBoosts(policy, now, policy_boosts(policy, catalog, now.types))


def write_policy_boosts(workspace: Path, told: PolicyBoosts, *, replace_fitted: bool = False) -> Path:
    """Let the policy's boosts count from now on; returns their file.

    Raises:
        BadPolicy: those that count were fitted to labelled queries, and nobody said to replace them.
    """
    path = workspace / FILE
    if told.now.origin == "fitted" and not replace_fitted:
        raise BadPolicy(
            f"{path} holds boosts that were fitted to {told.now.queries or 'labelled'} queries; "
            "add --replace-fitted to let the policy's take their place."
        )
    write_boosts(path, told.wanted)
    return path
