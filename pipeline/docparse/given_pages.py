"""Which picture of a corrected file is which page of a run."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from pipeline.core.errors import UsageError
from pipeline.core.manifest import Item, Source
from pipeline.core.pipeline import Scan
from pipeline.docparse.given_files import GivenImage, parse, refuse
from pipeline.docparse.given_params import MEDIA_TYPE, GivenParams, given_path

_UPLOAD = re.compile(r"^[0-9a-f]{8}-(?=.)")
"""What Label Studio puts before the name of an uploaded file."""
_DRAWN = re.compile(r"(^|/)p\d{4,}/page\.png$")


def attached(found: Scan, params: GivenParams, workspace: Path) -> Scan:
    """The scan with the corrected file attached to every page, so that it goes where the pages go.

    Raises:
        UsageError: see `check`, or the file changed in this moment.
    """
    path = given_path(params, workspace)
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != params.sha256:
        raise UsageError(f"detector.regions: {params.regions!r} was changed while it was read: plan again")
    check(params, data, found.items)
    source = Source(path=params.regions, sha256=params.sha256, bytes=len(data), media_type=MEDIA_TYPE)
    items = [
        item if item.page is None else item.model_copy(update={"attached": (*item.attached, source)})
        for item in found.items
    ]
    return replace(found, items=items)


def check(params: GivenParams, data: bytes, items: Iterable[Item]) -> dict[str, GivenImage]:
    """Item id → its corrected picture; what planning does, so that a wrong file costs nothing.

    Raises:
        UsageError: the file cannot be read, or it and the run's pages do not fit; one sentence lists what.
    """
    images = parse(data, params.regions, params.label_map)
    return match(images, items, params.regions, others_empty=params.other_pages == "empty")


def match(
    images: Sequence[GivenImage], items: Iterable[Item], file: str, *, others_empty: bool
) -> dict[str, GivenImage]:
    """Item id → its picture: by our own document and page, else by the path of the picture or of the document itself.

    Raises:
        UsageError: pictures are of no page of the run, or two of one page; or, unless `others_empty`, pages have none.
    """
    pages = [item for item in items if item.page is not None and item.problem is None]
    by_page = {(item.group, item.page): item for item in pages}
    by_path = _by_path(pages)
    found: dict[str, GivenImage] = {}
    unknown, doubled = [], []
    for image in images:
        item = by_page.get((image.document or "", image.page)) or _by_name(image.name, by_path)
        if item is None:
            unknown.append(repr(image.name))
        elif item.item_id in found:
            doubled.append(item.where)
        else:
            found[item.item_id] = image
    refuse(file, "has pictures of pages that are not in this run", unknown, "name the sources that they are of, too")
    refuse(file, "has several pictures of one page", doubled, "keep one of each")
    if not others_empty:
        refuse(
            file, "names no picture of some pages", [item.where for item in pages if item.item_id not in found],
            "say detector.other_pages: empty, if nothing is on them",
        )  # fmt: skip
    return found


def _by_path(pages: Sequence[Item]) -> Mapping[str, list[Item]]:
    """The end of a path, of one to four parts → the pages that it may mean."""
    counts: dict[str, int] = defaultdict(int)
    for item in pages:
        counts[item.group] += 1
    ends: dict[str, list[Item]] = defaultdict(list)
    for item in pages:
        paths = [f"{item.folder}/page.png"]
        if counts[item.group] == 1:
            paths.append(item.source.path)
        for end in {end for path in paths for end in _ends(path)}:
            ends[end].append(item)
    return ends


def _by_name(name: str, by_path: Mapping[str, list[Item]]) -> Item | None:
    """The one page that a picture's path or URL means by its longest known end; None for none and for several."""
    for path in _read(name):
        for form in (path, path.with_name(_UPLOAD.sub("", path.name)) if path.name else path):
            for end in _ends(form.as_posix()):
                if end in by_path:
                    items = by_path[end]
                    return items[0] if len(items) == 1 else None
    return None


def _read(name: str) -> list[PurePosixPath]:
    """The paths that a name may be: as it stands, for names of files hold `#`, `?`, `%` and `+`; then as a URL."""
    url = urlsplit(name)
    told = parse_qs(url.query).get("d", [unquote(url.path)])[0]
    paths = [PurePosixPath(told.replace("\\", "/"))]
    return paths if "://" in name else [PurePosixPath(name.replace("\\", "/")), *paths]


def _ends(path: str) -> list[str]:
    """The last four to one parts of a path, longest first; of a page that was drawn here no fewer than three.

    Every document has a `p0001/page.png`. Letters are composed, for macOS takes them apart.
    """
    parts = [part for part in PurePosixPath(unicodedata.normalize("NFC", path)).parts if part != "/"]
    least = 3 if _DRAWN.search(path) else 1
    return ["/".join(parts[-count:]) for count in range(min(4, len(parts)), least - 1, -1)]
