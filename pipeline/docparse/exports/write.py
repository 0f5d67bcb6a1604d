"""Writing a run's regions in a format of another tool, page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import orjson

from pipeline.core.errors import UsageError
from pipeline.core.files import write_chunks_atomic
from pipeline.docparse.exports.coco import coco_chunks
from pipeline.docparse.exports.docling import documents
from pipeline.docparse.exports.label_studio import configuration, tasks
from pipeline.docparse.exports.pages import PageRegions, open_run, run_pages


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote."""

    format: str
    folder: Path
    files: tuple[str, ...]
    """Relative to the folder."""
    pages: int
    regions: int
    how: str
    """One sentence: what opens it."""


class _Counted:
    """Counts pages and regions as they pass, and keeps what a manifest of pictures needs."""

    def __init__(self, pages: Iterable[PageRegions]) -> None:
        self._pages = pages
        self.pages = 0
        self.regions = 0
        self.images: list[str] = []

    def __iter__(self) -> Iterator[PageRegions]:
        for page in self._pages:
            self.pages += 1
            self.regions += len(page.regions)
            self.images.append(page.image)
            yield page


def export(run_dir: Path, format_name: str, folder: Path) -> Exported:
    """Write the regions of an ended run into `folder` in one of FORMATS; files that are there are replaced.

    Raises:
        UsageError: the format is unknown, the folder holds no ended docparse run or nothing was found in it, or the
            target cannot be written.
    """
    write = FORMATS.get(format_name)
    if write is None:
        raise UsageError(f"there is no format {format_name!r}; choose {', '.join(FORMATS)}")
    info = open_run(run_dir)
    found = run_pages(run_dir)
    first = next(found, None)
    if first is None:
        raise UsageError(f"run {info.run_id} described no page, so there is nothing to export: its report says why")
    pages = _Counted(chain([first], found))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files, how = write(pages, run_dir, folder)
    except OSError as error:
        where = error.filename or folder
        raise UsageError(f"{where} cannot be written: {error.strerror}; name another --out") from error
    return Exported(format_name, folder, files, pages.pages, pages.regions, how)


def _coco(pages: _Counted, run_dir: Path, folder: Path) -> tuple[tuple[str, ...], str]:
    write_chunks_atomic(folder / "coco.json", coco_chunks(pages, folder))
    return ("coco.json",), f"pycocotools and every COCO tool open it; pictures lie in {run_dir}"


def _label_studio(pages: _Counted, run_dir: Path, folder: Path) -> tuple[tuple[str, ...], str]:
    write_chunks_atomic(folder / "label-studio.json", tasks(pages, f"/data/local-files/?d={run_dir.name}/"))
    write_chunks_atomic(folder / "label-studio.xml", [configuration()])
    return ("label-studio.json", "label-studio.xml"), (
        "start Label Studio with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and "
        f"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={run_dir.resolve().parent}, paste the .xml as labelling "
        "configuration, import the .json"
    )


def _fiftyone(pages: _Counted, run_dir: Path, folder: Path) -> tuple[tuple[str, ...], str]:
    write_chunks_atomic(folder / "labels.json", coco_chunks(pages, folder))
    root = run_dir.resolve()
    write_chunks_atomic(
        folder / "data.json", [orjson.dumps({image: f"{root / image}" for image in pages.images}) + b"\n"]
    )
    return ("data.json", "labels.json"), (
        f"fiftyone.Dataset.from_dir({str(folder)!r}, dataset_type=fiftyone.types.COCODetectionDataset, "
        "label_types=['detections', 'segmentations'])"
    )


def _docling(pages: _Counted, run_dir: Path, folder: Path) -> tuple[tuple[str, ...], str]:
    files = []
    for name, data in documents(pages, run_dir):
        write_chunks_atomic(folder / f"{name}.json", [data])
        files.append(f"{name}.json")
    return tuple(files), "docling_core.types.doc.DoclingDocument.load_from_json opens each"


FORMATS: dict[str, Callable[[_Counted, Path, Path], tuple[tuple[str, ...], str]]] = {
    "coco": _coco,
    "label-studio": _label_studio,
    "fiftyone": _fiftyone,
    "docling": _docling,
}
