"""Boxes and masks for pages: the authors' loop, and what each step from there to our pipeline gains, on one device.

One process, the same pages and weights for all, arms in turn in every repeat:
A0  the authors' packages (`groundingdino`, `sam2`), one page at a time, as their demonstration has it
A1  the published models by `transformers`, single precision, one page at a time
A2  A1 in half precision, the caption read once
A3  A2 with pages in batches
A4  A3 with masks cut inside their boxes on the device, raw pixels read ahead, files written by other processes
A5  A4 with both encoders compiled
From pages on disk (PNG for A0 to A3, raw pixels for A4 and A5, as the pipeline's render workers hand them over) to
files with every region's box and mask. Where the weights are random they find nothing sensible: every arm detects and
thresholds in full, and then all cut masks for the same 16 constant boxes a page. None of A1 to A5 has the checks inside
the detector that wait for the device (`TRANSFORMERS_DISABLE_TORCH_CHECK`), which favours A1.

A figure counts only when A4 gives what A1 gives: the gate, whose bounds are in `vision_arms/judges.py`; the exit code
is 1 when it fails. Loading, compiling and each arm's first batch are not in the figures and are told beside them.
`ceiling_share`: floating-point operations of both models per second ÷ those of a large matrix product, measured in the
same run. An interval is from the lowest to the highest repeat, which holds the median of all runs with 94 % at five
repeats. On a processor the models are tiny and the figures say only that everything runs.

Run: `uv run python benchmarks/vision_gpu.py [--quick] [--json] [--pages N] [--price USD_PER_HOUR]`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # the small models are the tests' own


@dataclass(frozen=True)
class Scale:
    """How much is run."""

    device: str
    pages: int
    width: int
    height: int
    batch: int
    repeats: int
    gate_pages: int
    writers: int

    @property
    def tiny(self) -> bool:
        """Whether the models are the tests' and not of the published sizes."""
        return self.device == "cpu"


@dataclass
class Figures:
    """An arm's repeats."""

    what: str
    first_batch_s: float
    pages_per_s: list[float] = field(default_factory=list)

    def told(self, price_usd_per_hour: float | None) -> dict[str, Any]:
        """As JSON has them."""
        median = statistics.median(self.pages_per_s)
        per_1000_s = 1000 / median
        usd = None if price_usd_per_hour is None else round(per_1000_s / 3600 * price_usd_per_hour, 4)
        return {
            "what": self.what,
            "pages_per_s": round(median, 3),
            "interval": [round(min(self.pages_per_s), 3), round(max(self.pages_per_s), 3)],
            "gpu_s_per_1000_pages": round(per_1000_s, 2),
            "usd_per_1000_pages": usd,
            "first_batch_s": round(self.first_batch_s, 2),
        }


def measure(scale: Scale, price_usd_per_hour: float | None, say: Callable[[str], None]) -> dict[str, Any]:
    """Everything: pages, weights, arms, gate, repeats, ceiling."""
    import torch

    from benchmarks.vision_arms.arms import HAS_COCO, FullArm, PlainArm
    from benchmarks.vision_arms.judges import ceiling_tflops, compare, tflop_per_page
    from benchmarks.vision_arms.pages import draw_pages
    from benchmarks.vision_arms.weights import quiet_transformers
    from benchmarks.vision_arms.writing import start_writers

    quiet_transformers()
    notes = [] if HAS_COCO else ["pycocotools is not installed: A0 to A3 encode whole pages with our own run lengths"]
    if scale.tiny:
        torch.set_num_threads(1)
        notes.append("on a processor, with tiny models in single precision; A5 is not compiled")
    with tempfile.TemporaryDirectory() as name, _eager_on_processor(scale):
        folder = Path(name)
        pages = draw_pages(folder / "pages", scale.pages, scale.width, scale.height)
        say("weights …")
        os.environ["MODEL_DIR"] = str(folder / "models")
        os.environ["MODEL_REGISTRY"] = str(_weights(scale, pages, folder / "models"))
        pool = start_writers(scale.writers)
        try:
            arms, not_run = _arms(scale, pool, folder / "models")
            by_name = {arm.name: arm for arm in arms}
            plain, full = by_name["A1"], by_name["A4"]
            assert isinstance(plain, PlainArm)
            assert isinstance(full, FullArm)
            figures = {arm.name: Figures(arm.what, _timed(arm, pages[: scale.batch], folder)) for arm in arms}
            say("gate …")
            gate = compare(plain, full, pages[: scale.gate_pages])
            work_tflop = tflop_per_page(full, pages[: scale.batch])
            for repeat in range(scale.repeats):
                for arm in arms:
                    figures[arm.name].pages_per_s.append(len(pages) / _timed(arm, pages, folder))
                    say(f"{repeat + 1}/{scale.repeats} {arm.name}: {figures[arm.name].pages_per_s[-1]:.2f} pages/s")
            best_possible = ceiling_tflops(scale.device)
            for arm in arms:
                arm.close()
        finally:
            pool.shutdown()
    told = {name: one.told(price_usd_per_hour) for name, one in figures.items()}
    best = told["A5"]
    return {
        "a4_vs_a0": _times(figures, "A4", "A0"),
        "a5_vs_a2": _times(figures, "A5", "A2"),
        "a5_vs_a0": _times(figures, "A5", "A0"),
        "pages_per_s": best["pages_per_s"],
        "ceiling_share": round(work_tflop * best["pages_per_s"] / best_possible, 4),
        "gpu_s_per_1000_pages": best["gpu_s_per_1000_pages"],
        "usd_per_1000_pages": best["usd_per_1000_pages"],
        "gate_passed": gate.passed,
        "gate": asdict(gate),
        "tflop_per_page": round(work_tflop, 6),
        "ceiling_tflops": round(best_possible, 2),
        "device": torch.cuda.get_device_name() if scale.device == "cuda" else "processor",
        "torch": torch.__version__,
        "arms": told,
        "not_run": not_run,
        "notes": notes,
        **{name: value for name, value in asdict(scale).items() if name != "device"},
    }


def _weights(scale: Scale, pages: Sequence[Any], folder: Path) -> Path:
    """Checkpoints of this scale and their registry's file."""
    from benchmarks.vision_arms.weights import write_weights

    return write_weights(folder, tiny=scale.tiny, page=pages[0].read_raw().pixels, device=scale.device)


def _arms(scale: Scale, pool: Any, models: Path) -> tuple[list[Any], dict[str, str]]:
    """The arms that can run here, and why the others cannot."""
    from benchmarks.vision_arms.arms import FullArm, Models, PlainArm
    from benchmarks.vision_arms.weights import DETECTOR, PHRASES, SEGMENTER
    from pipeline.docparse.grounded import GroundedDetector
    from pipeline.docparse.sam2_segmenter import Sam2Segmenter
    from pipeline.models.grounding_dino.params import GroundingDinoParams
    from pipeline.models.sam2.params import Sam2Params

    half = "float32" if scale.tiny else "float16"

    def models_of(precision: str, batch: int, *, compiled: bool = False) -> Models:
        how = {"device": scale.device, "precision": precision, "batch_size": batch, "compile": compiled}
        prompts = {"prompts": {phrase: phrase for phrase in PHRASES}}
        detector = GroundedDetector(GroundingDinoParams.model_validate({"checkpoint": DETECTOR, **how, **prompts}))
        segmenter = Sam2Segmenter(Sam2Params.model_validate({"checkpoint": SEGMENTER, **how}))
        detector.setup()
        segmenter.setup()
        return Models(detector, segmenter)

    not_run: dict[str, str] = {}
    arms: list[Any] = []
    try:
        from benchmarks.vision_arms.reference_loop import ReferenceLoop

        arms.append(ReferenceLoop(models / DETECTOR, models / SEGMENTER, PHRASES, scale.device))
    except ModuleNotFoundError as error:
        not_run["A0"] = f"{error.name} is not installed: uv sync --inexact --extra gpu --extra original"
    single, one_by_one, batched = models_of("float32", 1), models_of(half, 1), models_of(half, scale.batch)
    _read_caption_anew(single, models / DETECTOR, scale.device)
    arms += [
        PlainArm("A1", "transformers, single precision, one page at a time", single, 1, scale.device),
        PlainArm("A2", "A1 in half precision, caption read once", one_by_one, 1, scale.device),
        PlainArm("A3", f"A2 with {scale.batch} pages at once", batched, scale.batch, scale.device),
        FullArm("A4", "A3 with masks cut on the device, files written meanwhile", batched, scale.batch, pool),
        FullArm("A5", "A4 compiled", models_of(half, scale.batch, compiled=True), scale.batch, pool),
    ]
    return arms, not_run


def _read_caption_anew(models: Any, folder: Path, device: str) -> None:
    """Give A1's detector a model that doesn't keep the caption's reading."""
    from benchmarks.vision_arms.weights import PHRASES
    from pipeline.models.grounding_dino.backend import load_backend
    from pipeline.models.grounding_dino.predictor import Predictor
    from pipeline.models.grounding_dino.preprocess import read_preprocessing
    from pipeline.models.grounding_dino.prompt import make_prompt, read_tokenizer

    prompt = make_prompt(PHRASES, read_tokenizer(folder))
    backend = load_backend("transformers", folder, prompt, precision="float32", device=device, cache_text=False)
    models.detector._predictor = Predictor(backend, prompt, read_preprocessing(folder), device, 1)


def _timed(arm: Any, pages: Sequence[Any], folder: Path) -> float:
    """Seconds of one pass, which must leave a file for every page."""
    out = folder / f"out-{arm.name}"
    out.mkdir()
    seconds: float = arm.run(pages, out)
    written = len(list(out.iterdir()))
    assert written == len(pages), f"{arm.name} wrote {written} of {len(pages)} pages"
    shutil.rmtree(out)
    return seconds


def _times(figures: dict[str, Figures], one: str, other: str) -> float | None:
    """How many times faster `one` is: the median over the repeats, in each of which both ran; None if one didn't."""
    if one not in figures or other not in figures:
        return None
    pairs = zip(figures[one].pages_per_s, figures[other].pages_per_s, strict=True)
    return round(statistics.median(ours / theirs for ours, theirs in pairs), 2)


@contextmanager
def _eager_on_processor(scale: Scale) -> Iterator[None]:
    """Take what A5 compiles as it is where there is no GPU: nothing to gain there, and a compiler to wait for."""
    import torch

    if not scale.tiny:
        yield
        return
    torch.compiler.set_stance("force_eager")
    try:
        yield
    finally:
        torch.compiler.set_stance("default")


def _scale(quick: bool, pages: int | None) -> Scale:
    import torch

    if not torch.cuda.is_available():
        return Scale("cpu", pages or (3 if quick else 16), 160, 226, 2, 2 if quick else 5, 2, 1)
    count = pages or (16 if quick else 128)
    return Scale("cuda", count, 1240, 1754, 8, 2 if quick else 5, 4, max(1, min(8, (os.cpu_count() or 2) - 2)))


def _table(found: dict[str, Any]) -> str:
    lines = [
        f"{found['pages']} pages of {found['width']} × {found['height']}, {found['repeats']} repeats, {found['device']}"
    ]
    lines.append(f"{'':4} {'pages/s':>9} {'lowest–highest':>19} {'GPU s/1000':>11} {'$/1000':>8} {'first batch s':>14}")
    for name, one in found["arms"].items():
        low, high = one["interval"]
        usd = "–" if one["usd_per_1000_pages"] is None else f"{one['usd_per_1000_pages']:.3f}"
        lines.append(
            f"{name:4} {one['pages_per_s']:>9.2f} {low:>9.2f}–{high:<9.2f} {one['gpu_s_per_1000_pages']:>11.1f} "
            f"{usd:>8} {one['first_batch_s']:>14.2f}  {one['what']}"
        )
    lines += [f"{name}: not run: {why}" for name, why in found["not_run"].items()]
    gate = found["gate"]
    lines.append(
        f"gate {'passed' if found['gate_passed'] else 'FAILED'}: {gate['box_share']:.2%} of {gate['boxes']} boxes "
        f"within 1.5 px (median {gate['box_px_median']} px), mask IoU {gate['mask_iou_mean']} (least "
        f"{gate['mask_iou_least']})"
    )
    lines.append(
        f"A4 ÷ A0 {found['a4_vs_a0']}, A5 ÷ A2 {found['a5_vs_a2']}; {found['tflop_per_page']} TFLOP a page, "
        f"{found['ceiling_share']:.1%} of {found['ceiling_tflops']} TFLOP/s"
    )
    return "\n".join(lines + found["notes"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer pages and repeats")
    parser.add_argument("--json", action="store_true", help="only the last line, which is JSON always")
    parser.add_argument("--pages", type=int, help="pages in every pass (128 on a GPU)")
    parser.add_argument(
        "--price", type=float, metavar="USD_PER_HOUR", help="what the machine costs, for $ per 1000 pages"
    )
    arguments = parser.parse_args()
    begun = time.perf_counter()

    def say(line: str) -> None:
        if not arguments.json:
            print(f"{time.perf_counter() - begun:7.1f} s  {line}", flush=True)

    found = measure(_scale(arguments.quick, arguments.pages), arguments.price, say)
    if not arguments.json:
        print(_table(found))
    print(json.dumps(found))
    sys.exit(0 if found["gate_passed"] else 1)


if __name__ == "__main__":
    main()
