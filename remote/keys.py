"""The workspace's SSH key pair: made once, its private half readable by its owner only."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

PRIVATE_NAME = "id_ed25519"


class KeyPairBroken(Exception):
    """The key file is there but is no usable ed25519 key; the text says what to do."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An ed25519 pair: the private half as a file, the public one as a line for `authorized_keys`."""

    private_path: Path
    public_line: str


def ensure_key_pair(directory: Path, *, comment: str = "spotter") -> KeyPair:
    """The key pair of `directory`, made when there is none; permissions are mended to 0600.

    Raises:
        KeyPairBroken: the private key cannot be read as an unencrypted OpenSSH ed25519 key.
    """
    private_path = directory / PRIVATE_NAME
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not private_path.exists():
        _make(private_path)
    private_path.chmod(0o600)
    public_line = _public_line(private_path, comment)
    public_path = private_path.with_name(f"{PRIVATE_NAME}.pub")
    if not public_path.exists() or public_path.read_text().strip() != public_line:
        _write(public_path, f"{public_line}\n".encode(), 0o644)
    return KeyPair(private_path, public_line)


def _make(private_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    secret = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    _write(private_path, secret, 0o600, replace=False)


def _public_line(private_path: Path, comment: str) -> str:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_private_key

    try:
        key = load_ssh_private_key(private_path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise KeyPairBroken(
            f"{private_path} is no unencrypted OpenSSH key; move it away and a new one is made"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyPairBroken(f"{private_path} is not an ed25519 key; move it away and a new one is made")
    line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return f"{line} {comment}"


def _write(path: Path, data: bytes, mode: int, *, replace: bool = True) -> None:
    """Let `path` appear complete; without `replace` whoever came first wins."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            temporary.replace(path)
            return
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
    finally:
        temporary.unlink(missing_ok=True)
