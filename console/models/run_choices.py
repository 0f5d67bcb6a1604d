"""A new run as a form: how it is run, what is parsed, by which parameters; and the command that says the same."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from console.models.parameter_form import FieldState, FormField, ParameterForm, as_typed

if TYPE_CHECKING:
    from console.operations.runbook import RunEntry
    from console.operations.session import Session

RUN_SECTION = "run"
"""Prefix of the fields that say how a run is run: they are options of the command, not parameters."""


class RunChoices(BaseModel):
    """How a run is run: the options of `spotter run`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    here: bool = False
    """Do it on this machine, and rent none."""
    profile: str | None = None
    """Which machine is rented: a [profiles.…] of spotter.toml; empty is what the settings say."""
    instances: int | None = Field(default=None, ge=1, le=64)
    """Spread the run over so many machines; empty is what the settings say."""
    instance: int | None = Field(default=None, ge=1)
    """Use this instance, which is rented already, and keep it afterwards."""
    keep: bool = False
    """Leave the machine rented afterwards."""
    no_replace: bool = False
    """Do not rent another machine when one is lost."""
    again: bool = False
    """Do work anew that a run has done already."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.here and (self.instance is not None or self.instances or self.profile or self.keep):
            raise ValueError("here rents nothing: choose it without profile, instances, instance and keep")
        return self


@dataclass(frozen=True, slots=True)
class Documents:
    """What lies in `data/`, before anything is opened."""

    files: tuple[tuple[str, int], ...] = ()
    """Name, relative to the workspace, and bytes."""

    @property
    def bytes(self) -> int:
        """Of all of them."""
        return sum(size for _name, size in self.files)


def documents_of(data: Path, root: Path) -> Documents:
    """The files below `data/` that are not hidden; walks the folder, so ask it in a thread."""
    files: list[tuple[str, int]] = []
    for folder, folders, names in os.walk(data, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.startswith("."):
                continue
            path = Path(folder) / name
            try:
                files.append((path.relative_to(root).as_posix(), path.stat().st_size))
            except OSError:
                continue  # it went while we looked
    return Documents(tuple(files))


class RunForm:
    """All choices of a new run. Reading settings is done by `open_form`; from then on it is a value in memory."""

    def __init__(
        self,
        params: ParameterForm,
        profiles: Sequence[str],
        *,
        pipeline: str = "docparse",
        earlier: str | None = None,
        sources: Sequence[str] = (),
        documents: Documents | None = None,
    ) -> None:
        self.params = params
        self.how = ParameterForm(RunChoices, lambda changed: changed)
        self.pipeline = pipeline
        self.earlier = earlier
        """The run that this one is planned like."""
        self.documents = documents or Documents()
        self.sources: tuple[str, ...] = tuple(sources)
        """Files and folders to parse; empty: all of `data/`, or what the earlier run had."""
        self._profiles = tuple(profiles)

    def states(self) -> list[FieldState]:
        """Every line with what it says: how it is run first, then the parameters, section by section."""
        return [*(self._outer(state) for state in self.how.states()), *self.params.states()]

    def _outer(self, state: FieldState) -> FieldState:
        """A line of how it is run, as the whole form knows it."""
        field = state.field
        if field.path == "profile":
            field = replace(field, kind="choice", choices=self._profiles)
        return replace(state, field=replace(field, path=f"{RUN_SECTION}.{field.path}", section=RUN_SECTION))

    def _part(self, field: FormField) -> tuple[ParameterForm, FormField]:
        """The form that a field belongs to, and the field as that knows it."""
        if field.section != RUN_SECTION:
            return self.params, field
        name = field.path.removeprefix(f"{RUN_SECTION}.")
        return self.how, replace(field, path=name, section="")

    def value(self, field: FormField) -> Any:
        """What a field says now."""
        form, own = self._part(field)
        return form.value(own)

    def default(self, field: FormField) -> Any:
        """What it says by itself."""
        form, own = self._part(field)
        return form.default(own)

    def set(self, field: FormField, value: Any) -> None:
        """Say something."""
        form, own = self._part(field)
        form.set(own, value)

    def reset(self, field: FormField) -> None:
        """Say the default again."""
        form, own = self._part(field)
        form.reset(own)

    def reset_all(self) -> None:
        """Every field its default, and all documents."""
        self.params.overrides.clear()
        self.how.overrides.clear()

    def read(self, field: FormField, text: str) -> Any:
        """What typed text says.

        Raises:
            ValueError: it is not YAML.
        """
        form, own = self._part(field)
        return form.read(own, text)

    def cycled(self, field: FormField, step: int) -> Any:
        """The next value of a switch or a choice."""
        form, own = self._part(field)
        return form.cycled(own, step)

    def problem(self) -> str:
        """What is wrong with the choices, in the model's own sentence; empty while all is well."""
        how = self.how.problem().replace("parameter parameters: ", "").replace("parameter ", "")
        return how or self.params.problem()

    def arguments(self, *, dry: bool = False) -> tuple[str, ...]:
        """The command's words after `spotter`, without `--yes`."""
        words = ["run", self.pipeline, *self.sources]
        if self.earlier is not None:
            words += ["--from", self.earlier]
        for name, value in self.how.overrides.items():
            option = f"--{name.replace('_', '-')}"
            words += [option] if value is True else [option, str(value)]
        for path, value in self.params.pairs():
            words += ["--param", f"{path}={as_typed(value)}"]
        return (*words, "--dry-run", "--json") if dry else tuple(words)


def open_form(session: Session, earlier: RunEntry | None = None) -> RunForm:
    """The form of a docparse run as the workspace's settings have it, or as an earlier run was planned.

    Raises:
        PlanError: the earlier run's parameters are not here any more.
    """
    from console.operations.plan import docparse_params, params_of
    from pipeline.docparse.params import DocparseParams

    base = None if earlier is None else params_of(session, earlier)
    sources = list(base["sources"]) if base else ["data"]

    def plan(changed: Mapping[str, Any]) -> Mapping[str, Any]:
        return docparse_params(session, sources, changed, base)

    return RunForm(
        ParameterForm(DocparseParams, plan, hidden=("sources",)),
        tuple(session.settings.profiles),
        pipeline="docparse" if earlier is None else earlier.pipeline,
        earlier=None if earlier is None else earlier.run_id,
        documents=documents_of(session.workspace.data, session.workspace.root),
    )
