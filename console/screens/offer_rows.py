"""The market as cells and sentences: pure functions of values, so that every state has a test without a screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.text import Text

from console.language import N_, _, ngettext
from console.models.fitting import fit_words
from console.models.offer_news import Change, OfferNews, PricedOffer, gpu_words, warnings_of
from console.models.rows import Column, Row
from console.spoken import brief, duration, usd_per_hour
from console.words import usd, visible

COLUMNS = (
    Column(N_("offer"), 8, name="offer"),
    Column(N_("news"), 6, name="news"),
    Column("GPU", 13, name="gpu"),
    Column(N_("$/h"), 7, name="usd", numeric=True),
    Column(N_("all $/h"), 7, name="total", numeric=True),
    Column("VRAM", 5, name="vram", numeric=True),
    Column("DLP/$", 5, min_screen=76, name="dlp", numeric=True),
    Column(N_("rel."), 5, name="rel", numeric=True),
    Column(N_("↓/↑ Mb/s"), 9, min_screen=80, name="net", numeric=True),
    Column(N_("ours"), 10, min_screen=74, name="ours"),
    Column("CUDA", 4, min_screen=140, name="cuda", numeric=True),
    Column(N_("place"), 14, min_screen=130, name="place"),
    Column(N_("work"), 7, min_screen=150, name="work", numeric=True),
    Column(N_("$/day"), 7, min_screen=160, name="day", numeric=True),
    Column("RAM", 6, min_screen=170, name="ram", numeric=True),
    Column("CPU", 18, min_screen=180, name="cpu"),
    Column(N_("disk"), 6, min_screen=190, name="disk", numeric=True),
)
MOST_COMPARED = 5
LABEL_WIDTH = 10


def offer_row(priced: PricedOffer, news: OfferNews, *, stale: bool = False) -> Row:
    """One offer as cells; values beside them for filter, sorting and export."""
    offer, change = priced.offer, news.changes.get(priced.key)
    warnings = warnings_of(priced, news)
    score = priced.dlperf_per_usd
    cells = (
        Text(priced.key),
        _change_cell(change),
        Text(visible(gpu_words(offer))),
        Text(f"{priced.usd_per_hour:.3f}", style="bold"),
        Text(f"{priced.total_usd_per_hour:.3f}"),
        Text(f"{offer.gpu_ram_mb / 1024:.0f}G"),
        Text(f"{score:.0f}" if score is not None else "–"),
        Text(f"{100 * offer.reliability:.1f}"),
        Text(f"{offer.download_mbps:.0f}/{offer.upload_mbps:.0f}"),
        Text(priced.history.words or "–", style="bold red" if priced.history.failures else ""),
        Text(f"{offer.cuda_max:.1f}"),
        Text(visible(offer.location)),
        Text(usd(priced.cost.expected_usd)),
        Text(usd(priced.cost.price.usd_per_day)),
        Text(f"{offer.ram_mb / 1000:.0f}G"),
        Text(visible(f"{offer.cpu_cores:.0f}× {offer.cpu_name}")),
        Text(f"{offer.disk_gb:.0f}G"),
    )
    values: dict[str, str | float | None] = {
        "offer": float(offer.id),
        "gpu": gpu_words(offer),
        "news": change.fate if change is not None else None,
        "usd": priced.usd_per_hour,
        "total": priced.total_usd_per_hour,
        "work": priced.cost.expected_usd,
        "day": priced.cost.price.usd_per_day,
        "vram": offer.gpu_ram_mb / 1024,
        "dlp": score,
        "rel": 100 * offer.reliability,
        "net": offer.download_mbps,
        "up": offer.upload_mbps,
        "cuda": offer.cuda_max,
        "ours": float(priced.history.rentals) if priced.history.rentals else None,
        "ram": offer.ram_mb / 1000,
        "cores": offer.cpu_cores,
        "disk": offer.disk_gb,
        "n": float(offer.gpu_count),
        "machine": float(offer.machine_id),
        "host": float(offer.host_id),
        "ports": float(offer.open_ports),
    }
    return Row(priced.key, cells, values, stale=stale, problem=bool(warnings))


def _change_cell(change: Change | None) -> Text:
    if change is None:
        return Text("")
    if change.fate == "new":
        return Text(_("new"), style="bold green")
    share = 0.0
    if change.before_usd_per_hour:
        share = change.usd_per_hour / change.before_usd_per_hour - 1
    if change.fate == "cheaper":
        return Text(f"↓{-100 * share:.0f}%", style="green")
    return Text(f"↑{100 * share:.0f}%", style="yellow")


def offers_note(news: OfferNews, shown: int, age_s: float, *, stale: str = "", watching_s: float | None = None) -> str:
    """The line under the list.

    Args:
        news: the last good answer.
        shown: offers below the price cap.
        age_s: of the answer.
        stale: why there is no newer one.
        watching_s: until the next look; None when the market is not watched.
    """
    parts = [_("EMULATED")] if news.emulated else []
    parts.append(ngettext("{n} offer", "{n} offers", len(news.offers)).format(n=len(news.offers)))
    if news.terms.max_usd_per_hour is not None and shown < len(news.offers):
        parts[-1] += " " + _("({n} below the cap)").format(n=shown)
    terms = " ".join((news.profile, *news.terms.words))
    parts.append(_("{terms} · {disk:g} GB disk").format(terms=visible(terms), disk=news.query.disk_gb))
    parts.append(_("age {age}").format(age=_("{0}s").format(f"{age_s:.0f}") if age_s < 60 else duration(age_s)))
    if watching_s is not None:
        parts.append(_("watching, next look in {time}").format(time=duration(max(0.0, watching_s))))
    if stale:
        parts.insert(0, _("NO ANSWER: {reason}").format(reason=visible(stale)))
    return " · ".join(parts)


def offer_details(priced: PricedOffer, news: OfferNews) -> Text:
    """The side pane: what the profile's work costs here, what to mind, and what we lived through with the host."""
    offer, cost = priced.offer, priced.cost
    text = Text()
    text.append(visible(f"{gpu_words(offer)} · {offer.location}") + "\n", style="bold")
    warnings = warnings_of(priced, news)
    for warning in warnings:
        text.append(f"! {visible(warning)}\n", style="yellow")
    text.append("\n" + _("Work of {hours:g} h, {disk:g} GB disk").format(hours=priced.hours, disk=news.query.disk_gb))
    text.append("\n")
    pull = _("image and data, {time}").format(time=duration(3600 * cost.pull_hours))
    parts = (
        ("GPU", cost.gpu_usd, _("{price} an hour").format(price=f"${cost.price.gpu_usd_per_hour:.4f}")),
        (_("disk"), cost.disk_usd, _("{price} an hour").format(price=f"${cost.price.disk_usd_per_hour:.4f}")),
        (_("in"), cost.download_usd, pull),
        (_("out"), cost.upload_usd, _("{gb:g} GB of results").format(gb=news.query.upload_gb)),
    )
    for label, amount, words in parts:
        text.append(f"{fit_words(label, LABEL_WIDTH)}{fit_words(usd(amount), 9, right=True)}  ")
        text.append(f"{words}\n", style="dim")
    everything = fit_words(_("in all"), LABEL_WIDTH) + fit_words(usd(cost.expected_usd), 9, right=True)
    text.append(f"{everything}  ", style="bold")
    text.append(_("{price} an hour in all").format(price=f"${priced.total_usd_per_hour:.4f}") + "\n", style="dim")
    left = _("running on: {hour}, {day} a day, {month} in 30 days")
    price = cost.price
    text.append(
        left.format(hour=usd_per_hour(price.usd_per_hour), day=usd(price.usd_per_day), month=usd(price.usd_per_30_days))
    )
    text.append("\n\n" + _("Host") + "\n", style="bold")
    for label, words in _host_lines(priced):
        text.append(fit_words(label, LABEL_WIDTH), style="dim")
        text.append(visible(words) + "\n")
    text.append("\n" + _("Ours") + "\n", style="bold")
    text.append("\n".join(map(visible, _history_lines(priced))) + "\n")
    return text


def _host_lines(priced: PricedOffer) -> list[tuple[str, str]]:
    offer = priced.offer
    verified = _("verified host {host}") if offer.verified else _("host {host}, not verified")
    traffic = _("in {down}, out {up} a GB")
    line = _("↓{down:.0f} ↑{up:.0f} Mbit/s")
    longer = _("for {time} more").format(time=duration(offer.max_duration_s))
    ports = ngettext("{n} port", "{n} ports", offer.open_ports).format(n=offer.open_ports)
    ram = _("{gb:.0f} GB RAM").format(gb=offer.ram_mb / 1000)
    disk = _("{gb:.0f} GB {name}").format(gb=offer.disk_gb, name=offer.disk_name)
    vram = _("{gb:.0f} GB VRAM").format(gb=offer.gpu_ram_mb / 1024)
    return [
        (_("machine"), f"{offer.machine_id} · {verified.format(host=offer.host_id)}"),
        (_("reliable"), f"{offer.reliability:.2%} · {longer}"),
        (_("net"), f"{line.format(down=offer.download_mbps, up=offer.upload_mbps)} · {ports}"),
        (
            _("traffic"),
            traffic.format(down=f"${offer.download_usd_per_gb:.4f}", up=f"${offer.upload_usd_per_gb:.4f}"),
        ),
        ("CPU", f"{offer.cpu_cores:.0f}× {offer.cpu_name} · {ram}"),
        (_("disk"), disk),
        ("CUDA", f"{offer.cuda_max:.1f} · {vram}"),
    ]


def _history_lines(priced: PricedOffer) -> list[str]:
    history = priced.history
    if not (history.rentals or history.failures or history.route):
        return [_("never rented from here")]
    lines = []
    if history.rentals:
        rented = ngettext(
            "rented {n} time, {time} at the longest", "rented {n} times, {time} at the longest", history.rentals
        )
        lines.append(rented.format(n=history.rentals, time=duration(history.served_s)))
    if history.route:
        lines.append(_("let us in by the {route} way").format(route=history.route))
    if history.failures:
        lines.append(_("failed {n}×, lately: {reason}").format(n=history.failures, reason=history.reason))
    return lines


def comparison(offers: Sequence[PricedOffer], news: OfferNews, width: int) -> Text:
    """Marked offers side by side; the best figure of a line is bold and has a sign."""
    shown = list(offers[:MOST_COMPARED])
    column = max(8, min(18, (width - LABEL_WIDTH) // max(1, len(shown)) - 1))
    text = Text()
    title = ngettext("{n} offer compared", "{n} offers compared", len(offers)).format(n=len(offers))
    text.append(title + "\n", style="bold")
    lines: tuple[tuple[str, Callable[[PricedOffer], str], Callable[[PricedOffer], float] | None], ...] = (
        (_("offer"), lambda each: each.key, None),
        ("GPU", lambda each: gpu_words(each.offer), None),
        (_("$/h"), lambda each: f"${each.usd_per_hour:.3f}", lambda each: each.usd_per_hour),
        (_("all $/h"), lambda each: f"${each.total_usd_per_hour:.3f}", lambda each: each.total_usd_per_hour),
        (_("work"), lambda each: usd(each.cost.expected_usd), lambda each: each.cost.expected_usd),
        (_("image in"), lambda each: brief(3600 * each.cost.pull_hours), lambda each: each.cost.pull_hours),
        ("DLP/$", lambda each: f"{each.dlperf_per_usd or 0:.0f}", lambda each: -(each.dlperf_per_usd or 0.0)),
        ("VRAM", lambda each: f"{each.offer.gpu_ram_mb / 1024:.0f} GB", lambda each: -each.offer.gpu_ram_mb),
        (_("reliable"), lambda each: f"{each.offer.reliability:.2%}", lambda each: -each.offer.reliability),
        (_("down"), lambda each: f"{each.offer.download_mbps:.0f}", lambda each: -each.offer.download_mbps),
        (_("up"), lambda each: f"{each.offer.upload_mbps:.0f}", lambda each: -each.offer.upload_mbps),
        ("CPU", lambda each: f"{each.offer.cpu_cores:.0f}×", lambda each: -each.offer.cpu_cores),
        ("RAM", lambda each: f"{each.offer.ram_mb / 1000:.0f} GB", lambda each: -each.offer.ram_mb),
        (_("place"), lambda each: each.offer.location, None),
        (_("ours"), lambda each: each.history.words or "–", None),
        (_("to mind"), lambda each: str(len(warnings_of(each, news)) or "–"), None),
    )
    for label, words, weight in lines:
        text.append(fit_words(label, LABEL_WIDTH), style="dim")
        weights = [weight(each) for each in shown] if weight is not None else []
        told_apart = len(set(weights)) > 1
        for at, each in enumerate(shown):
            best = told_apart and weights[at] == min(weights)
            said = visible(words(each))
            text.append(" " + fit_words(("›" if best else " ") + said, column), style="bold green" if best else "")
        text.append("\n")
    if len(offers) > len(shown):
        text.append(_("and {n} more that have no room").format(n=len(offers) - len(shown)) + "\n", style="dim")
    return text


def rent_detail(priced: PricedOffer, news: OfferNews, most: float) -> str:
    """What is asked before the deal: the full price in words, what it is refused at, and what to mind."""
    offer, price = priced.offer, priced.cost.price
    first = _("{gpu} in {place}: {hour} with {disk:g} GB of disk, {day} a day.")
    second = _("About {all} for {hours:g} h of work, traffic and waiting for the image with it.")
    third = _(
        "If it costs more than ${most:.4f} an hour by then, nothing is rented. It is billed until it is destroyed."
    )
    lines = [
        first.format(
            gpu=visible(gpu_words(offer)),
            place=visible(offer.location),
            hour=usd_per_hour(price.usd_per_hour),
            disk=news.query.disk_gb,
            day=usd(price.usd_per_day),
        ),
        second.format(all=usd(priced.cost.expected_usd), hours=priced.hours),
        third.format(most=most),
        *(f"! {visible(warning)}" for warning in warnings_of(priced, news)),
    ]
    return "\n".join(lines)
