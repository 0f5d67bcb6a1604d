"""The command about money."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from console.commands.frame import Json, print_json, session

if TYPE_CHECKING:
    from console.operations.money import MoneyReport


def money(
    days: Annotated[float, typer.Option(help="How far back ended rentals are listed.", min=0)] = 30.0,
    as_json: Json = False,
) -> int:
    """Show what burns, what today will have cost, how long the credit lasts, and what the cloud's own bill says."""
    from console.operations.money import money_report

    report = money_report(session(), days=days)
    if as_json:
        print_json(asdict(report))
        return 0
    _print(report)
    return 0


def _print(report: MoneyReport) -> None:
    from console.terminal import print_table
    from console.words import count, duration, size, usd, usd_per_hour

    now = report.money
    cap = f" of {usd(now.cap_usd)}" if now.cap_usd is not None else ""
    credit = f", credit {usd(now.credit_usd)}" if now.credit_usd is not None else ""
    lasts = f" lasts {duration(now.runway_s)}" if now.runway_s is not None else ""
    above = "  ABOVE THE CAP: nothing more is rented" if now.above_cap else ""
    if report.orphans_usd_per_hour:
        lasts += f"  + {usd_per_hour(report.orphans_usd_per_hour)} of ORPHANS: `spotter ps` names them"
    print(f"{'EMULATED  ' if report.emulated else ''}burn {usd_per_hour(now.burn_usd_per_hour)}{credit}{lasts}")
    print(f"today {usd(now.today_usd)}{cap}, by midnight (UTC) {usd(now.projected_midnight_usd)}{above}")
    if report.instances:
        print()
        print_table(
            ("instance", "GPU", "state", "$/h", "spent", "in", "out", "run"),
            [
                (
                    str(each.instance_id),
                    each.gpu,
                    each.state,
                    usd_per_hour(each.usd_per_hour),
                    usd(each.usd),
                    size(each.bytes_in),
                    size(each.bytes_out),
                    (each.run_id or "–")[-8:],
                )
                for each in report.instances
            ],
            f"{count(len(report.instances), 'rental')}, {usd(sum(each.usd for each in report.instances))}",
        )
    if report.runs:
        print()
        print_table(
            ("run", "state", "items", "spent", "per item", "to finish"),
            [
                (
                    each.run_id[-8:],
                    each.state,
                    f"{each.items_done}/{each.items_total}",
                    usd(each.cost.usd_so_far),
                    "–" if each.cost.usd_per_item is None else usd(each.cost.usd_per_item),
                    "–" if each.cost.usd_to_finish is None else usd(each.cost.usd_to_finish),
                )
                for each in report.runs
            ],
            count(len(report.runs), "run"),
        )
    print()
    for each in report.differences:
        settled = "settled in the ledger" if each.settled else "not settled yet"
        print(
            f"instance {each.instance_id}: the cloud charged {usd(each.charged_usd)}, "
            f"the ledger has {usd(each.ledger_usd)}; {settled}"
        )
    told = {each.instance_id for each in report.differences}
    for cost in report.instances:
        if cost.instance_id not in told and f"{abs(cost.settled_usd):.4f}" != "0.0000":
            word = "more" if cost.settled_usd > 0 else "less"
            print(
                f"instance {cost.instance_id}: the cloud's own bill says {usd(cost.usd)}, "
                f"{usd(abs(cost.settled_usd))} {word} than was counted by the second"
            )
    if report.problem is not None:
        print(f"not compared with the cloud's bill: {report.problem}")
    elif report.reconciled and not report.differences:
        print("the cloud's own bill agrees with the ledger")
    elif not report.reconciled:
        print("not compared with the cloud's bill: the local cloud is not running")
