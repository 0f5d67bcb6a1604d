"""A0: boxes and masks page by page, the way the authors' own demonstration of the two models does it.

Our words and code for what `grounded_sam2_local_demo.py` of Grounded-SAM-2 does with the packages `groundingdino` and
`sam2`: a page is read from its file and resized by Pillow; the detector runs in single precision on one page, reading
its caption anew; scores and boxes are brought to the processor, thresholded, and named by decoding tokens; the encoder
takes the page; masks come for all boxes of it at once, enlarged to the page; they are brought over as floats, encoded
with pycocotools over the whole page, and written as JSON. As there, TF32 is allowed on GPUs and the mask decoder runs
under bfloat16 autocast. Models are loaded once.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.vision_arms.arms import TEXT_THRESHOLD, full_page_rle
from benchmarks.vision_arms.pages import Page
from benchmarks.vision_arms.writing import BOX_THRESHOLD


class ReferenceLoop:
    """The authors' models and their loop."""

    name = "A0"
    what = "the authors' packages, one page at a time, as their demonstration has it"

    def __init__(self, detector: Path, segmenter: Path, phrases: Sequence[str], device: str) -> None:
        from sam2.sam2_image_predictor import SAM2ImagePredictor

        from pipeline.models.grounding_dino.checkpoint import open_checkpoint
        from pipeline.models.grounding_dino.original_backend import OriginalBackend
        from pipeline.models.grounding_dino.preprocess import read_preprocessing
        from pipeline.models.grounding_dino.prompt import make_prompt, read_tokenizer
        from pipeline.models.sam2.original_network import load_model

        prompt = make_prompt(phrases, read_tokenizer(detector))
        self._caption = prompt.caption
        self._model: Any = OriginalBackend(open_checkpoint(detector), prompt, device=device, cache_text=False)._model
        self._resized = _transforms(read_preprocessing(detector))
        network = load_model(segmenter).to(device)
        self._predictor = SAM2ImagePredictor(network)
        # The package's predictor has the grids of a picture of 1024 pixels written into it.
        self._predictor._bb_feat_sizes = [(network.image_size // stride,) * 2 for stride in (4, 8, 16)]
        self._device = device

    def run(self, pages: Sequence[Page], out: Path) -> float:
        """Everything from files of pages to files of regions; seconds."""
        allowed = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        begun = time.perf_counter()
        try:
            for page in pages:
                self._page(page, out)
        finally:
            torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = allowed
        return time.perf_counter() - begun

    def close(self) -> None:
        """Nothing waits."""

    def _page(self, page: Page, out: Path) -> None:
        from PIL import Image

        picture = Image.open(page.png).convert("RGB")
        source = np.array(picture)
        boxes, scores, names = self._detect(self._resized(picture, None)[0])
        assert torch.isfinite(boxes).all(), "the detector's boxes are numbers"
        self._predictor.set_image(source)
        with self._half():
            masks, quality, _ = self._predictor.predict(
                point_coords=None, point_labels=None, box=np.array(page.boxes), multimask_output=False
            )
        regions = [
            {
                "bbox": list(box),
                "class_name": names[index] if index < len(names) else "",
                "score": float(scores[index]) if index < len(scores) else 0.0,
                "quality": float(quality[index].item()),
                "segmentation": full_page_rle(masks[index].squeeze(0) > 0),
            }
            for index, box in enumerate(page.boxes)
        ]
        told = {"image": page.png.name, "width": page.width, "height": page.height, "annotations": regions}
        (out / f"{page.name}.json").write_text(json.dumps(told))

    def _detect(self, picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
        from groundingdino.util.utils import get_phrases_from_posmap

        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = self._model(picture.to(self._device)[None], captions=[self._caption])
        logits = found["pred_logits"].cpu().sigmoid()[0]
        boxes = found["pred_boxes"].cpu()[0]
        kept = logits.max(dim=1)[0] > BOX_THRESHOLD
        tokens = self._model.tokenizer(self._caption)
        names = [
            get_phrases_from_posmap(row > TEXT_THRESHOLD, tokens, self._model.tokenizer).replace(".", "")
            for row in logits[kept]
        ]
        return boxes[kept], logits[kept].max(dim=1)[0], names

    def _half(self) -> AbstractContextManager[Any]:
        return torch.autocast("cuda", dtype=torch.bfloat16) if self._device == "cuda" else nullcontext()


def _transforms(preprocessing: Any) -> Any:
    from groundingdino.datasets import transforms

    return transforms.Compose(
        [
            transforms.RandomResize([preprocessing.short_side_px], max_size=preprocessing.long_side_px),
            transforms.ToTensor(),
            transforms.Normalize(list(preprocessing.mean), list(preprocessing.std)),
        ]
    )
