"""What the form of a new run says: what is parsed, what a dry run found, what it will cost. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from console.language import _, ngettext
from console.spoken import duration, size, usd_per_hour
from console.words import usd, visible

if TYPE_CHECKING:
    from console.models.run_choices import RunForm
    from console.operations.dry_run import DryRun

PROBLEMS_SHOWN = 5


def documents_words(form: RunForm, plan: DryRun | None) -> Text:
    """`data/: 12 files, 40 MiB · 311 pages`."""
    text = Text(no_wrap=True, overflow="ellipsis")
    if form.sources:
        chosen = ngettext("{n} document chosen", "{n} documents chosen", len(form.sources)).format(n=len(form.sources))
        text.append(chosen, style="bold")
        text.append(f"  {visible(', '.join(form.sources))}", style="dim")
    elif form.earlier is not None:
        text.append(_("documents of run {run}").format(run=form.earlier[-8:]), style="bold")
    else:
        count = len(form.documents.files)
        text.append(_("all of data/"), style="bold")
        files = ngettext("{n} file", "{n} files", count).format(n=count)
        text.append(f": {files}, {size(form.documents.bytes)}")
    if plan is not None:
        pages = ngettext("{n} page", "{n} pages", plan.pages).format(n=plan.pages)
        text.append(f"  ·  {pages}", style="bold")
    return text


def price_words(form: RunForm, plan: DryRun | None) -> str:
    """What the run will cost, in one sentence, as far as it is known."""
    if form.how.overrides.get("here"):
        return _("It rents nothing: this machine does the work.")
    if "instance" in form.how.overrides:
        return _("It works on instance {id}, which is rented already and stays.").format(
            id=form.how.overrides["instance"]
        )
    if plan is not None and plan.known and not form.how.overrides.get("again"):
        return _("Run {run} has done the same work, or was planned for it: it goes on, and does nothing twice.").format(
            run=plan.run_id[-8:]
        )
    if plan is None:
        return _("It rents a machine within the day's cap; no dry run told a price yet (d).")
    if plan.usd_per_hour is None:
        return _("It rents a machine, but none is on offer now.")
    price = usd_per_hour(plan.usd_per_hour)
    if plan.estimate is None or plan.estimate.get("usd") is None:
        return _("It rents a machine from {price}; no earlier run of this kind tells how long it takes.").format(
            price=price
        )
    return _("It rents a machine from {price}: about {usd} in {time} of work, and the time to make it ready.").format(
        price=price, usd=usd(float(plan.estimate["usd"])), time=duration(float(plan.estimate["seconds"]))
    )


def plan_text(plan: DryRun | None, failed: str, *, fresh: bool, planning: bool) -> Text:
    """What the dry run found."""
    text = Text()
    text.append(_("Dry run") + "\n", style="bold")
    if planning:
        text.append(_("planning …") + "\n", style="cyan")
    if failed:
        return text.append(f"✗ {visible(failed)}", style="bold red")
    if plan is None:
        return text if planning else text.append(_("d plans it: pages, stages, price. Nothing is rented."), style="dim")
    if not fresh:
        text.append("⚠ " + _("something else is chosen since: d plans again") + "\n", style="yellow")
    documents = ngettext("{n} document", "{n} documents", plan.documents).format(n=plan.documents)
    pages = ngettext("{n} page", "{n} pages", plan.pages).format(n=plan.pages)
    text.append(f"{pages}, {documents}\n")
    if plan.known:
        text.append(_("the same work as run {run}").format(run=plan.run_id[-8:]) + "\n", style="yellow")
    if plan.instance is not None and plan.usd_per_hour is not None:
        price = usd_per_hour(plan.usd_per_hour)
        text.append(_("instance {id}: {price}").format(id=plan.instance, price=price) + "\n")
    elif plan.rents:
        price = _("none on offer") if plan.usd_per_hour is None else usd_per_hour(plan.usd_per_hour)
        text.append(_("cheapest machine: {price}").format(price=price) + "\n")
    _append_estimate(text, plan)
    for reason in plan.refused:
        text.append("✗ " + _("refused: {reason}").format(reason=visible(reason)) + "\n", style="bold red")
    for forecast in plan.forecasts:
        text.append(f"$ {visible(forecast)}\n", style="yellow")
    text.append("\n")
    for name, place in plan.stages:
        text.append(f"{visible(name):<10} ")
        text.append((_("laptop") if place == "laptop" else _("box")) + "\n", style="dim")
    for path, reason in plan.problems[:PROBLEMS_SHOWN]:
        text.append(f"✗ {visible(path)}: {visible(reason)}\n", style="red")
    if len(plan.problems) > PROBLEMS_SHOWN:
        text.append(_and_more(len(plan.problems) - PROBLEMS_SHOWN), style="dim")
    for warning in plan.warnings[:PROBLEMS_SHOWN]:
        text.append(f"⚠ {visible(warning)}\n", style="yellow")
    if len(plan.warnings) > PROBLEMS_SHOWN:
        text.append(_and_more(len(plan.warnings) - PROBLEMS_SHOWN), style="dim")
    return text


def _and_more(more: int) -> str:
    return ngettext("… and {n} more", "… and {n} more", more).format(n=more) + "\n"


def _append_estimate(text: Text, plan: DryRun) -> None:
    found = plan.estimate
    if found is None:
        text.append(_("no earlier run of this kind tells how long it takes") + "\n", style="dim")
        return
    took = duration(float(found["seconds"]))
    cost = "" if found.get("usd") is None else f", {usd(float(found['usd']))}"
    text.append(_("about {time}{cost} of work, as run {run} went").format(
        time=took, cost=cost, run=str(found["like"])[-8:]
    ) + "\n")  # fmt: skip
