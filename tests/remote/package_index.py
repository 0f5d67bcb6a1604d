"""A package index on loopback with packages made on the spot, slow or broken as a test wants it."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from remote.bootstrap.pins import Pin
from tests.serving import served


def wheel(name: str, version: str, text: str = "") -> tuple[str, bytes]:
    """File name and bytes of a wheel with one module of the package's name."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": text or f"version = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for path, content in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(zipfile.ZipInfo(path), content)
    return f"{name}-{version}-py3-none-any.whl", data.getvalue()


BACKEND = """
import zipfile, pathlib, tiny
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    made = {made!r}
    pathlib.Path(wheel_directory, {file!r}).write_bytes(made)
    return {file!r}
"""


def source_of(name: str, version: str) -> tuple[str, bytes]:
    """A source distribution whose build needs the package `tiny` to be installed already."""
    file, made = wheel(name, version)
    project = '[build-system]\nrequires = ["tiny"]\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    files = {
        "pyproject.toml": project,
        "backend.py": BACKEND.format(made=made, file=file),
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
    }
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(f"{name}-{version}/{path}")
            entry.size = len(content.encode())
            archive.addfile(entry, io.BytesIO(content.encode()))
    return f"{name}-{version}.tar.gz", data.getvalue()


@dataclass
class PackageIndex:
    """What it serves, what it was asked for, and how it misbehaves."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    refused: int = 0
    """So many requests to come are answered by hanging up."""
    gate: threading.Event = field(default_factory=threading.Event)
    """A file is sent only while this is set; its beginning always is."""

    def add(self, made: tuple[str, bytes]) -> Pin:
        """Offer a package; the pin that names it."""
        file, data = made
        self.files[file] = data
        name, version = file.removesuffix(".tar.gz").split("-")[:2]
        return Pin(name, version, "", (f"sha256:{hashlib.sha256(data).hexdigest()}",))

    def downloads(self) -> list[str]:
        """The files that were asked for."""
        return [path.rpartition("/")[2] for path in self.asked if path.startswith("/files/")]


@contextmanager
def package_index() -> Iterator[PackageIndex]:
    """An index that runs until the block ends."""
    index = PackageIndex()
    index.gate.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            index.asked.append(self.path)
            if index.refused > 0:
                index.refused -= 1
                self.close_connection = True
                return
            kind, _, name = self.path.strip("/").partition("/")
            if kind == "files" and name in index.files:
                self._send(index.files[name], "application/octet-stream")
                return
            links = [
                f'<a href="/files/{file}#sha256={hashlib.sha256(data).hexdigest()}">{file}</a>'
                for file, data in index.files.items()
                if kind == "simple" and file.split("-")[0] == name.replace("-", "_")
            ]
            if links:
                self._send(f"<!DOCTYPE html><html><body>{' '.join(links)}</body></html>".encode(), "text/html")
            else:
                self.send_error(404)

        def _send(self, data: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[:10])
            self.wfile.flush()
            if kind != "text/html":
                index.gate.wait(30)
            self.wfile.write(data[10:])

        def log_message(self, *_arguments: object) -> None:
            return

    with served(Handler) as address:
        index.url = f"{address}/simple"
        try:
            yield index
        finally:
            index.gate.set()
