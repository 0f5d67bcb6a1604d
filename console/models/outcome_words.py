"""How a run ended, in the language spoken: the sentences that a pipeline writes of itself are English, and data."""

from __future__ import annotations

import re

from console.language import N_, _

_SENTENCES = tuple(
    (re.compile(pattern), text)
    for pattern, text in (
        (r"all (?P<n>\d+) pages ok", N_("all {n} pages ok")),
        (r"all (?P<n>\d+) pages ok, (?P<rejected>\d+) rejected", N_("all {n} pages ok, {rejected} rejected")),
        (r"all (?P<n>\d+) pages of shard (?P<shard>\d+/\d+) ok", N_("all {n} pages of shard {shard} ok")),
        (
            r"(?P<failed>\d+) of (?P<n>\d+) pages failed; the report names each with its reason",
            N_("{failed} of {n} pages failed; the report names each with its reason"),
        ),
        (
            r"stopped with (?P<open>\d+) of (?P<n>\d+) pages still open; resume goes on from there",
            N_("stopped with {open} of {n} pages still open; resume goes on from there"),
        ),
        (
            r"limited to the first (?P<n>\d+) of (?P<all>\d+) pages, all of them ok",
            N_("limited to the first {n} of {all} pages, all of them ok"),
        ),
    )
)


def outcome_words(message: str) -> str:
    """A run's last message as it is said on screen; one that no pipeline of ours writes stays as it is."""
    for pattern, text in _SENTENCES:
        if found := pattern.fullmatch(message):
            return _(text).format(**found.groupdict())
    return message
