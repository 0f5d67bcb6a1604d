"""What a run's parameters ask of its machine: libraries, a GPU, checkpoints, programs. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.core.pipeline import RunParams
from pipeline.docparse.ocr_params import TesseractParams, debian_packages
from pipeline.docparse.params import DocparseParams
from pipeline.models.grounding_dino.params import GroundingDinoParams
from pipeline.models.sam2.params import Sam2Params

Stack = Literal["cpu", "gpu", "original"]


@dataclass(frozen=True, slots=True)
class MachineNeeds:
    """What must be there before the run begins."""

    stack: Stack = "cpu"
    """cpu: the worker alone. gpu: torch and transformers too. original: the reference packages as well."""
    checkpoints: tuple[str, ...] = ()
    """Names in the registry."""
    gpu_for: tuple[str, ...] = ()
    """Parts that are to work on a GPU, as a person calls them: `detector grounding-dino`."""
    debian_packages: tuple[str, ...] = ()
    """Programs that are no Python packages, with their data: Tesseract and its languages, where OCR is named."""
    languages: tuple[str, ...] = ()
    """What Tesseract is to read, by its own names."""


def machine_needs(params: RunParams) -> MachineNeeds:
    """The needs of a run; those of another pipeline than docparse are none that are known here."""
    if not isinstance(params, DocparseParams):
        return MachineNeeds()
    models = {
        f"{part} {chosen.name}": chosen
        for part, chosen in (("detector", params.detector), ("segmenter", params.segmenter))
        if isinstance(chosen, GroundingDinoParams | Sam2Params)
    }
    languages = params.ocr.languages if isinstance(params.ocr, TesseractParams) else ()
    packages = debian_packages(languages) if languages else ()
    if not models:
        return MachineNeeds(debian_packages=packages, languages=languages)
    return MachineNeeds(
        stack="original" if any(chosen.backend == "original" for chosen in models.values()) else "gpu",
        checkpoints=tuple(dict.fromkeys(chosen.checkpoint for chosen in models.values())),
        gpu_for=tuple(name for name, chosen in models.items() if chosen.device == "cuda"),
        debian_packages=packages,
        languages=languages,
    )
