from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from remote.release import ReleaseFile
from remote.sync.push import push_release
from remote.sync.rsync import RsyncMissing, SystemSsh, push_release_by_rsync
from remote.sync.session import TransferError
from remote.transport import Transport
from tests.remote.sshd import Sshd, new_key

ODD_NAMES = ["plain.py", "with space", "it's", 'q"uote', "new\nline", "Пример/план.txt", "$HOME", "-rf", "a;b"]


@pytest.fixture
def ssh(sshd: Sshd, transport: Transport) -> SystemSsh:
    if shutil.which("rsync") is None or shutil.which("ssh") is None:
        pytest.skip("needs rsync and ssh")
    return SystemSsh("127.0.0.1", sshd.port, sshd.user, sshd.key_path, sshd.pin_path)


@pytest.fixture
def files(tmp_path: Path) -> list[ReleaseFile]:
    found = []
    for number, name in enumerate(ODD_NAMES):
        path = tmp_path / "code" / str(number)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(os.urandom(1000 * number))
        found.append(ReleaseFile(name, path, 0o755 if number % 2 else 0o644))
    return found


def content(files: list[ReleaseFile]) -> dict[str, tuple[bytes, int]]:
    return {file.name: (file.source.read_bytes(), file.mode) for file in files}


def on_box(place: str) -> dict[str, tuple[bytes, int]]:
    folder = Path(place)
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mode & 0o777)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_rsync_brings_the_same_release_as_the_stream(
    sshd: Sshd, transport: Transport, ssh: SystemSsh, files: list[ReleaseFile]
) -> None:
    first = push_release_by_rsync(transport, "spotter", files, ssh)
    assert on_box(first.path) == content(files)
    assert (sshd.home / "spotter" / "current").resolve() == Path(first.path).resolve()
    assert push_release(transport, "spotter", files).reused
    files[3].source.write_bytes(b"changed")
    before = on_box(first.path)
    second = push_release_by_rsync(transport, "spotter", files, ssh)
    assert on_box(second.path) == content(files)
    assert on_box(first.path) == before


def test_what_rsync_brought_wrong_is_brought_right(
    transport: Transport, ssh: SystemSsh, files: list[ReleaseFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    from remote.sync import rsync

    run = rsync._run

    def then_damage(scratch: Path, sources: object, to: SystemSsh, draft: str, near: str) -> None:
        run(scratch, sources, to, draft, near)  # type: ignore[arg-type]
        (Path(draft) / "with space").write_bytes(b"x" * 1000)
        (Path(draft) / "never announced").write_bytes(b"x")

    monkeypatch.setattr(rsync, "_run", then_damage)
    assert on_box(push_release_by_rsync(transport, "spotter", files, ssh).path) == content(files)


def test_only_the_pinned_host_is_believed(
    tmp_path: Path, transport: Transport, ssh: SystemSsh, files: list[ReleaseFile]
) -> None:
    other = new_key(tmp_path / "other").with_suffix(".pub").read_text().split()
    pin = tmp_path / "pin"
    pin.write_text(f"* {other[0]} {other[1]}\n")
    wrong = SystemSsh(ssh.host, ssh.port, ssh.user, ssh.key_path, pin)
    with pytest.raises(TransferError, match="rsync ended"):
        push_release_by_rsync(transport, "spotter", files, wrong)


def test_without_rsync_it_says_what_to_do(
    transport: Transport, ssh: SystemSsh, files: list[ReleaseFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RsyncMissing, match="backend"):
        push_release_by_rsync(transport, "spotter", files, ssh)
