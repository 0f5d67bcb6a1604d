"""The functions and classes of the vastai package that we use; the only module that imports it.

Importing this takes about a second and 60 MB, so nothing but the first call to the cloud does it. Two side effects
of vastai's own import are undone: it needs `sys.stdout.encoding`, which the object that stands there while a Textual
app runs lacks, and it hangs a log handler on stderr, which would write into the screen.
"""

from __future__ import annotations

import logging
import sys


def _lend_stdout_an_encoding() -> None:
    if not hasattr(sys.stdout, "encoding"):
        sys.stdout.encoding = "utf-8"  # type: ignore[misc]


_lend_stdout_an_encoding()

from vastai.api.billing import show_user  # noqa: E402
from vastai.api.client import VastClient, VastSession  # noqa: E402
from vastai.api.instances import (  # noqa: E402
    build_create_instance_payload,
    create_instance_from_payload,
    destroy_instance,
    label_instance,
    reboot_instance,
    recycle_instance,
    show_instances_v1,
    start_instance,
    stop_instance,
)
from vastai.api.keys import attach_ssh  # noqa: E402
from vastai.api.offers import search_offers  # noqa: E402

__all__ = [
    "VastClient",
    "VastSession",
    "attach_ssh",
    "build_create_instance_payload",
    "create_instance_from_payload",
    "destroy_instance",
    "label_instance",
    "reboot_instance",
    "recycle_instance",
    "search_offers",
    "show_instances_v1",
    "show_user",
    "start_instance",
    "stop_instance",
]


def _silence_vastai() -> None:
    logger = logging.getLogger("vastai")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    logger.addHandler(logging.NullHandler())


_silence_vastai()
