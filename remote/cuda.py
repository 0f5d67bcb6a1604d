"""Which CUDA release knows which card, and which release an image holds: whether a rented card can run the image."""

from __future__ import annotations

import re

FIRST_CUDA_OF_CAPABILITY: dict[int, float] = {
    500: 6.0,
    520: 6.5,
    530: 7.0,
    600: 8.0,
    610: 8.0,
    620: 8.0,
    700: 9.0,
    720: 9.1,
    750: 10.0,
    800: 11.0,
    860: 11.1,
    870: 11.4,
    880: 13.0,
    890: 11.8,
    900: 11.8,
    1000: 12.8,
    1010: 12.8,
    1030: 12.9,
    1100: 13.0,
    1200: 12.8,
    1210: 12.9,
}
"""Compute capability times a hundred → the first CUDA release that compiles for it.

Source: NVIDIA, Parallel Thread Execution ISA, release notes, table "PTX Release History", for 5.3 and all from 6.0 on;
NVIDIA, CUDA toolkit release notes 6.0 and 6.5, for 5.0 and 5.2. That table has 10.0 since CUDA 12.7, which was never
released as a toolkit; the Blackwell Compatibility Guide says 12.8.
"""

LAST_CUDA_OF_CAPABILITY_BELOW: tuple[tuple[int, float], ...] = ((500, 11.8), (750, 12.9))
"""(capability, release): cards below this capability are left out of every later release.

Source: NVIDIA, CUDA toolkit release notes 12.0 (Kepler) and 13.0 (Maxwell, Pascal and Volta).
"""

CUDA_IMAGE_REPOSITORIES = ("nvidia/cuda", "nvidia/cudagl")
_WORDED = re.compile(r"cuda[-_]?(\d{1,2})\.(\d)")
_SHORT = re.compile(r"(?<![a-z0-9])cu(\d{2})(\d)(?![0-9])")
_LEADING = re.compile(r"(\d{1,2})\.(\d)")


def cuda_of_image(image: str) -> float | None:
    """The CUDA release that an image's tag names (`…-cuda12.8-…`, `…:cuda-12.8.1`, `…-cu128`); None when it names none.

    A release is one digit behind the point, as every one of NVIDIA's so far.
    """
    path, _, tag = image.partition("@")[0].rpartition(":")
    if not path or "/" in tag:  # no tag at all, or the port of a registry
        return None
    found = _WORDED.search(tag) or _SHORT.search(tag)
    if found is None and path.removeprefix("docker.io/") in CUDA_IMAGE_REPOSITORIES:
        found = _LEADING.match(tag)
    return float(f"{found[1]}.{found[2]}") if found else None


def runs_on(cuda: float, compute_capability: int) -> bool:
    """Whether software built with CUDA release `cuda` has code for a card of this capability (times a hundred).

    A card that is newer than the table is taken by no release that the table knows; one that tells no capability
    (0: not NVIDIA's, or the host said nothing) by none at all.
    """
    known = [each for each in FIRST_CUDA_OF_CAPABILITY if each <= compute_capability]
    if not known or max(known) // 100 != compute_capability // 100:
        return False
    dropped = (last for below, last in LAST_CUDA_OF_CAPABILITY_BELOW if compute_capability < below)
    return FIRST_CUDA_OF_CAPABILITY[max(known)] <= cuda <= min(dropped, default=cuda)
