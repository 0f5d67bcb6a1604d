"""Whose machines the ledger speaks of: what another account's key does not show is not gone."""

from __future__ import annotations

from remote.desk import Desk
from remote.rental import WrongCloud


def settle_account(desk: Desk) -> None:
    """Note the account that rents here; see that it is still the same while anything of it may be alive.

    Raises:
        WrongCloud: another account's key, or another address, is configured now.
        CloudError: the cloud does not say who we are.
    """
    identity = desk.cloud.account().identity
    if not identity or desk.ledger.account(desk.cloud_name) == identity:
        return
    _refuse(desk, identity)
    desk.ledger.note_account(desk.cloud_name, identity)


def refuse_other_account(desk: Desk) -> None:
    """Raise WrongCloud when the absence of something says nothing: it is looked for in another account."""
    if desk.ledger.account(desk.cloud_name) is not None:
        identity = desk.cloud.account().identity
        if identity:
            _refuse(desk, identity)


def _refuse(desk: Desk, identity: str) -> None:
    noted = desk.ledger.account(desk.cloud_name)
    if noted is None or noted == identity:
        return
    alive = [row.instance_id for row in desk.ledger.instances(alive_only=True, cloud=desk.cloud_name)]
    open_creates = desk.ledger.intents(unsettled_only=True, cloud=desk.cloud_name)
    if alive or any(each.operation == "create" for each in open_creates):
        what = f"instance {', '.join(map(str, alive))}" if alive else "a machine whose create was not answered"
        raise WrongCloud(
            f"{what} was rented by {noted}, but the key of {identity} is configured, which does not show it: put back "
            "the other key (and cloud.url) and destroy it first, or use another workspace for this account"
        )
