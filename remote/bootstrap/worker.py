"""The worker's environment: the image's own when it is exactly right, else one made below the root from the lock."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from remote.bootstrap import box_environment, box_packages
from remote.bootstrap.box import Box
from remote.bootstrap.hashing import hash_of
from remote.bootstrap.interpreter import markers_of
from remote.bootstrap.marks import marked
from remote.bootstrap.needs import BoxNeeds
from remote.bootstrap.pins import SOURCES_ONLY, Pin, imports_of, on_box, worker_pins
from remote.bootstrap.steps import Step, StepHopeless, StepUnmet
from remote.bootstrap.work import run_program

WORKER_ENVIRONMENT = "worker-environment"
INSTALL_LIMIT_S = 2400.0
"""For one try: 4 GB of wheels over 50 Mbit/s are 11 minutes, and unpacking takes its time."""

TORCH_PAIR = ("torch", "torchvision")


def worker_step(needs: BoxNeeds, pins: Sequence[Pin] | None = None, imports: Sequence[str] | None = None) -> Step:
    """The step that finds or makes the environment. `pins` and `imports` are those of the lock by default."""
    wanted = worker_pins(needs) if pins is None else tuple(pins)
    environment = _Environment(needs, wanted, imports_of(needs) if imports is None else tuple(imports))
    inputs = hash_of([[[pin.line(), pin.marker] for pin in wanted], needs.gpu])
    return Step(WORKER_ENVIRONMENT, inputs, environment.check, environment.make, INSTALL_LIMIT_S, retries=2)


class _Environment:
    def __init__(self, needs: BoxNeeds, pins: tuple[Pin, ...], imports: tuple[str, ...]) -> None:
        self._needs = needs
        self._pins = pins
        self._imports = imports
        self._torch = needs.stack != "cpu"
        self._cuda = self._torch and needs.gpu

    def check(self, box: Box) -> Mapping[str, str]:
        """In the image's interpreter, then in every environment that was made here."""
        pins = self._pins_on(box)
        image = box.found["interpreter"]["path"]
        candidates = dict.fromkeys([box.recorded.get("path", image), image, *_ready_environments(box)])
        unmet = None
        for python in candidates:
            try:
                return self._evidence(python, self._judge(box, python, pins, self._imports))
            except StepUnmet as error:
                unmet = unmet or error
        assert unmet is not None
        raise unmet

    def make(self, box: Box) -> None:
        """Install the lock's packages; torch is taken from the image by link when it is the same version and works."""
        pins = self._pins_on(box)
        interpreter = box.found["interpreter"]
        linked = self._torch_to_keep(box, pins) if self._torch else []
        if self._cuda and not linked:
            refuse_useless_torch(box, pins)
        installed = [pin for pin in pins if not (linked and pin.of_torch)]
        wheels = [pin.line() for pin in installed if pin.name not in SOURCES_ONLY]
        sources = [pin.line() for pin in installed if pin.name in SOURCES_ONLY]
        name = hash_of([wheels, sources, linked, interpreter["path"], interpreter["version"]])
        spec = {
            "environment": f"{box.root}/envs/{name}",
            "base": interpreter["path"],
            "wheels": wheels,
            "sources": sources,
            "linked": linked,
            "imports": list(self._imports),
            "index_url": self._needs.index_url,
        }
        run_program(box, interpreter["path"], box_environment, spec, box.found["caches"])

    def _pins_on(self, box: Box) -> tuple[Pin, ...]:
        return on_box(self._pins, markers_of(box.found["interpreter"]))

    def _judge(self, box: Box, python: str, pins: Sequence[Pin], imports: Sequence[str]) -> dict[str, Any]:
        asked = {
            "wanted": {pin.name: pin.version for pin in pins},
            "of_torch": [pin.name for pin in pins if pin.of_torch],
            "imports": list(imports),
            "cuda": self._cuda,
        }
        source = Path(box_packages.__file__).read_text(encoding="utf-8")
        told = marked(box.expect([python, "-c", source, json.dumps(asked)], shown=f"{python} box_packages.py"))
        judged: dict[str, Any] = json.loads(told[-1])
        return judged

    def _torch_to_keep(self, box: Box, pins: Sequence[Pin]) -> list[str]:
        """What the image has of torch and its CUDA libraries, when that is the wanted torch and works."""
        image = box.found["interpreter"]["path"]
        pair = [pin for pin in pins if pin.name in TORCH_PAIR]
        try:
            self._judge(box, image, pair, TORCH_PAIR)
        except StepUnmet:
            return []
        stack = box.expect([image, "-c", INSTALLED_NAMES])
        names = {each.lower().replace("_", "-").replace(".", "-") for each in marked(stack)}
        return sorted(name for name in names if Pin(name, "", "", ()).of_torch)

    def _evidence(self, python: str, judged: dict[str, Any]) -> Mapping[str, str]:
        made = judged["made"]
        evidence = {
            "path": python,
            "packages": f"{len(judged['found'])} as locked",
            "made by": f"{made['installer']} over {made['base']}" if made else "the image",
        }
        places: dict[str, list[str]] = judged["places"]
        for place, names in places.items():
            evidence[f"from {place}"] = "all" if len(places) == 1 else _listed(names)
        if "torch" in judged:
            evidence["torch finds"] = judged["torch"]
        return {**evidence, **judged["found"]}


def refuse_useless_torch(box: Box, pins: Sequence[Pin]) -> None:
    """Find out before gigabytes are fetched. Raises StepHopeless when the lock's torch cannot use this box's GPU."""
    done = box.run(["nvidia-smi"])
    said = (done.stdout + done.stderr).decode("utf-8", "replace")
    if done.exit_code != 0:
        raise StepHopeless(f"torch needs a GPU, and nvidia-smi says: {done.last_lines()}")
    if "EMULATED" in said:
        raise StepHopeless("torch needs a GPU, and this box's is emulated: use the cpu stack here")
    known = re.search(r"CUDA Version: *(\d+)\.(\d+)", said)
    needed = next((pin.version for pin in pins if pin.name == "cuda-toolkit"), None)
    if known and needed and int(known.group(1)) < int(needed.split(".")[0]):
        major, minor = known.groups()
        wanted = ".".join(needed.split(".")[:2])
        raise StepHopeless(
            f"the lock's torch is built for CUDA {wanted}, and the box's driver knows {major}.{minor}: "
            "rent a machine with a newer driver, or an image that has this torch"
        )


INSTALLED_NAMES = f"""
from importlib import metadata
for each in metadata.distributions():
    print({box_packages.MARK!r} + str(each.metadata["Name"]))
"""


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 30 else f"{len(names)} packages"


def _ready_environments(box: Box) -> list[str]:
    """The interpreters of environments whose making came to its end."""
    script = (
        f'for each in "$1"/envs/*/{box_environment.MARK}; do [ -f "$each" ] && echo "${{each%/*}}/bin/python"; done'
    )
    output = box.run(["/bin/sh", "-c", script, "sh", box.root]).stdout.decode("utf-8", "replace")
    return [line for line in output.splitlines() if line.startswith(f"{box.root}/envs/")]
