"""`spotter`: the app without arguments, the same operations as commands with them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from console import language
from console.commands import (
    answer,
    bootstrap,
    cloud,
    export,
    index,
    keys,
    limits,
    logs,
    machines,
    metrics,
    money,
    offers,
    place,
    pulse,
    quality,
    review,
    runs,
    search,
    services,
    shell,
    sync,
    tags,
    weights,
)
from console.commands.frame import Place, guard
from console.entry import open_console

app = typer.Typer(
    add_completion=True,
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Parse documents with vision models on rented GPUs, and search the result. Without a command: the console.",
)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    directory: Annotated[
        Path | None, typer.Option("-C", metavar="DIR", help="The workspace, or a folder inside it.")
    ] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Open the console so that money and data are safe.")
    ] = False,
    lang: Annotated[
        str | None, typer.Option(metavar="en|ru", help="The console's language; else the system's.")
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Find out what is wanted."""
    Place.directory = directory
    try:
        language.use(lang or language.system_language(), chosen=lang is not None)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--lang") from None
    if version:
        from importlib.metadata import version as installed

        print(f"spotter {installed('spotter-console')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        raise typer.Exit(open_console(directory, read_only=read_only))


def _command(name: str, call: Callable[..., int], group: str) -> None:
    """Offer `call` as a command whose domain errors are sentences."""

    @functools.wraps(call)
    def guarded(*arguments: Any, **options: Any) -> None:
        raise typer.Exit(guard(lambda: call(*arguments, **options), as_json=bool(options.get("as_json"))))

    app.command(name, rich_help_panel=group)(guarded)


for _name, _call, _group in (
    ("init", place.init, "Workspace"),
    ("demo", place.demo, "Workspace"),
    ("doctor", place.doctor, "Workspace"),
    ("pulse", pulse.pulse, "Workspace"),
    ("keys", keys.keys, "Workspace"),
    ("key", place.key, "Workspace"),
    ("offers", offers.offers, "Machines"),
    ("rent", machines.rent, "Machines"),
    ("ps", machines.ps, "Machines"),
    ("bootstrap", bootstrap.bootstrap, "Machines"),
    ("stop", machines.stop, "Machines"),
    ("rerent", machines.rerent, "Machines"),
    ("destroy", machines.destroy, "Machines"),
    ("label", machines.label, "Machines"),
    ("guard", limits.guard, "Machines"),
    ("money", money.money, "Machines"),
    ("metrics", metrics.metrics, "Machines"),
    ("ssh", shell.ssh, "Machines"),
    ("ssh-config", shell.ssh_config, "Machines"),
    ("jupyter", services.jupyter, "Machines"),
    ("tunnel", services.tunnel, "Machines"),
    ("push", sync.push, "Machines"),
    ("sync", sync.sync, "Machines"),
    ("diff", sync.diff, "Machines"),
    ("run", runs.run, "Runs"),
    ("runs", runs.runs, "Runs"),
    ("watch", runs.watch, "Runs"),
    ("logs", logs.logs, "Runs"),
    ("pull", runs.pull, "Runs"),
    ("cancel", runs.cancel, "Runs"),
    ("export", export.export, "Runs"),
    ("quality", quality.quality, "Runs"),
    ("search", search.search, "Index"),
    ("answer", answer.answer, "Index"),
    ("ingest", index.ingest, "Index"),
    ("open", search.open_hit, "Index"),
):
    _command(_name, _call, _group)
app.add_typer(cloud.cloud, name="cloud")
app.add_typer(services.service, name="service", rich_help_panel="Machines")
app.add_typer(index.index, name="index", rich_help_panel="Index")
app.add_typer(review.review, name="review", rich_help_panel="Index")
app.add_typer(tags.tags, name="tags", rich_help_panel="Index")
app.add_typer(weights.weights, name="weights", rich_help_panel="Workspace")
