"""The functions and classes of the vastai package that we use; the only module that imports it.

Importing this takes a quarter of a second, so nothing but the first call to the cloud does it. Its half for serverless
work would take as much time again and another 30 MB, for nothing that we use: vastai goes without it where it is not
installed, and so it does here. Two side effects of vastai's own import are undone: it needs `sys.stdout.encoding`,
which the object that stands there while a Textual app runs lacks, and it hangs a log handler on stderr, which would
write into the screen.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def _lend_stdout_an_encoding() -> None:
    if not hasattr(sys.stdout, "encoding"):
        sys.stdout.encoding = "utf-8"  # type: ignore[misc]


@contextmanager
def _serverless_left_out() -> Iterator[None]:
    """What `vastai` says of itself: without its serverless half it works, and names nothing of it."""
    name = "vastai.serverless"
    if "vastai" in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # the import system's own word for "there is no such module"
    try:
        yield
    finally:
        del sys.modules[name]


_lend_stdout_an_encoding()

with _serverless_left_out():
    from vastai.api.billing import show_user
    from vastai.api.client import VastClient, VastSession
    from vastai.api.instances import (
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
    from vastai.api.keys import attach_ssh
    from vastai.api.offers import search_offers

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
