"""OpenSSH's own `ssh` and `rsync` through the entries that we write, in a home of their own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from remote.cloud import Endpoint
from remote.ssh_config import (
    BACKUP_NAME,
    FOLDER_NAME,
    SshConfigError,
    answering_endpoint,
    host_entries,
    install_include,
    remove_include,
    render_config,
    safe_name,
    write_config,
)
from remote.transport import Transport, TransportError
from tests.remote.sshd import Sshd, free_port, new_key

THEIRS = "Host *\n    Port 2222\n    User somebody\n    IdentityFile ~/.ssh/theirs\n"


@pytest.fixture
def ssh_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "their home" / ".ssh"
    folder.mkdir(parents=True, mode=0o700)
    return folder


def entries_of(sshd: Sshd, instance_id: int = 7, workspace: str = "") -> str:
    entries = host_entries(
        instance_id,
        [Endpoint("proxy", "127.0.0.1", 1), sshd.endpoint],
        user=sshd.user,
        key_path=sshd.key_path,
        pin_path=sshd.pin_path,
        workspace=workspace,
    )
    return render_config(entries, "a test")


def ssh(folder: Path, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = ["ssh", "-F", str(folder / "config"), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=check, stdin=subprocess.DEVNULL)


def effective(folder: Path, host: str) -> dict[str, str]:
    """The first value of each option, which is the one that counts (identities are tried in order)."""
    lines = ssh(folder, "-G", host).stdout.splitlines()
    return dict(line.split(" ", 1) for line in reversed(lines))


def test_the_clients_own_reading_of_an_entry(sshd: Sshd, ssh_folder: Path) -> None:
    (ssh_folder / "config").write_text(THEIRS)
    write_config(ssh_folder / FOLDER_NAME / "w.conf", entries_of(sshd))
    assert install_include(ssh_folder)
    read = effective(ssh_folder, "spotter-7")
    assert read["hostname"] == "127.0.0.1"
    assert read["port"] == str(sshd.port)
    assert read["user"] == sshd.user
    assert read["identityfile"] == str(sshd.key_path)
    assert read["identitiesonly"] == "yes"
    assert read["hostkeyalias"] == "spotter-7"
    assert read["userknownhostsfile"] == str(sshd.pin_path)
    assert read["stricthostkeychecking"] == "true"
    assert read["passwordauthentication"] == "no"
    assert (read["serveraliveinterval"], read["serveralivecountmax"]) == ("5", "3")
    assert effective(ssh_folder, "spotter-7-proxy")["port"] == "1"
    assert effective(ssh_folder, "elsewhere.example")["port"] == "2222"


def test_the_client_logs_in_and_passes_the_exit_code_on(sshd: Sshd, transport: Transport, ssh_folder: Path) -> None:
    write_config(ssh_folder / FOLDER_NAME / "w.conf", entries_of(sshd))
    install_include(ssh_folder)
    done = ssh(ssh_folder, "spotter-7", "echo here; exit 7", check=False)
    assert (done.returncode, done.stdout) == (7, "here\n")


def test_an_instance_whose_key_is_not_pinned_is_not_trusted(sshd: Sshd, ssh_folder: Path) -> None:
    write_config(ssh_folder / FOLDER_NAME / "w.conf", entries_of(sshd))
    install_include(ssh_folder)
    done = ssh(ssh_folder, "spotter-7", "true", check=False)
    assert done.returncode == 255
    assert "Host key verification failed" in done.stderr


def test_another_machine_at_the_same_address_is_refused(sshd: Sshd, transport: Transport, ssh_folder: Path) -> None:
    write_config(ssh_folder / FOLDER_NAME / "w.conf", entries_of(sshd))
    install_include(ssh_folder)
    for name in ("host_key", "host_key.pub"):
        (sshd.folder / name).unlink()
    new_key(sshd.folder / "host_key")
    sshd.stop()
    sshd.start()
    done = ssh(ssh_folder, "spotter-7", "echo let in", check=False)
    assert done.returncode == 255
    assert "let in" not in done.stdout


@pytest.mark.skipif(shutil.which("rsync") is None, reason="needs rsync")
def test_rsync_works_by_the_name_alone(sshd: Sshd, transport: Transport, ssh_folder: Path, tmp_path: Path) -> None:
    write_config(ssh_folder / FOLDER_NAME / "w.conf", entries_of(sshd))
    install_include(ssh_folder)
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "Схема 1.txt").write_text("words")
    shell = f'ssh -F "{ssh_folder}/config"'
    subprocess.run(["rsync", "-a", "-e", shell, f"{tree}/", "spotter-7:copy/"], check=True, timeout=60)
    assert (sshd.home / "copy" / "Схема 1.txt").read_text() == "words"


def test_a_path_with_blanks_and_percent_signs_reaches_the_client(sshd: Sshd, tmp_path: Path, ssh_folder: Path) -> None:
    odd = tmp_path / "рабочая папка 100%d"
    odd.mkdir()
    key = shutil.copy(sshd.key_path, odd / "id")
    with sshd.connect(key_path=Path(key), pin_path=odd / "pin"):
        pass
    entries = host_entries(7, [sshd.endpoint], user=sshd.user, key_path=Path(key), pin_path=odd / "pin")
    write_config(ssh_folder / FOLDER_NAME / "w.conf", render_config(entries, "a test"))
    install_include(ssh_folder)
    assert ssh(ssh_folder, "spotter-7", "echo here").stdout == "here\n"
    with pytest.raises(SshConfigError, match="a quote or a line break"):
        host_entries(7, [sshd.endpoint], user="root", key_path=Path('/a"b'), pin_path=odd)[0].render()


def test_two_workspaces_with_the_same_id_have_names_of_their_own(sshd: Sshd) -> None:
    text = entries_of(sshd, workspace="мои снимки *")
    assert safe_name("мои снимки *") == "workspace"
    assert "Host spotter-7 spotter-workspace-7\n" in text
    assert "Host spotter-7 spotter-a-b-7\n" in entries_of(sshd, workspace="a b")


def test_installing_twice_changes_nothing_and_removing_gives_back_every_byte(ssh_folder: Path) -> None:
    config = ssh_folder / "config"
    config.write_text(THEIRS)
    assert install_include(ssh_folder)
    once = config.read_text()
    assert once.endswith(THEIRS)
    assert config.stat().st_mode & 0o777 == 0o600
    assert (ssh_folder / BACKUP_NAME).read_text() == THEIRS
    assert not install_include(ssh_folder)
    assert config.read_text() == once
    assert remove_include(ssh_folder)
    assert config.read_text() == THEIRS
    assert not remove_include(ssh_folder)


def test_a_home_without_a_config_gets_one_and_loses_it_again(tmp_path: Path) -> None:
    folder = tmp_path / ".ssh"
    assert install_include(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert remove_include(folder)
    assert list(folder.iterdir()) == []


def test_what_its_owner_wrote_above_the_line_stays_when_it_is_removed(ssh_folder: Path) -> None:
    config = ssh_folder / "config"
    install_include(ssh_folder)
    config.write_text(f"# mine\n{config.read_text()}Host b\n    Port 3\n")
    assert remove_include(ssh_folder)
    assert config.read_text() == "# mine\nHost b\n    Port 3\n"


def test_a_config_that_is_a_link_stays_one(ssh_folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "dotfiles-config"
    elsewhere.write_text(THEIRS)
    (ssh_folder / "config").symlink_to(elsewhere)
    install_include(ssh_folder)
    assert (ssh_folder / "config").is_symlink()
    assert elsewhere.read_text().endswith(THEIRS)


def test_a_config_that_cannot_be_read_is_a_sentence(ssh_folder: Path) -> None:
    (ssh_folder / "config").mkdir()
    with pytest.raises(SshConfigError, match="config cannot be changed"):
        install_include(ssh_folder)


def test_the_proxy_is_taken_when_the_direct_port_is_closed_or_silent(sshd: Sshd) -> None:
    proxy = Endpoint("proxy", "127.0.0.1", sshd.port)
    assert answering_endpoint([proxy, Endpoint("direct", "127.0.0.1", free_port())]) == proxy
    with socket.create_server(("127.0.0.1", 0)) as mute:
        silent = Endpoint("direct", "127.0.0.1", mute.getsockname()[1])
        assert answering_endpoint([silent, proxy], timeout_s=2) == proxy
    assert answering_endpoint([proxy, sshd.endpoint]) == sshd.endpoint


def test_each_endpoint_that_does_not_answer_is_named() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as web:

        def greet() -> None:
            peer, _ = web.accept()
            with peer:
                peer.sendall(b"HTTP/1.1 400 no\r\n")

        threading.Thread(target=greet, daemon=True).start()
        wrong = Endpoint("proxy", "127.0.0.1", web.getsockname()[1])
        with pytest.raises(TransportError, match=rf"{port} refuses the connection.*does not greet as an SSH server"):
            answering_endpoint([wrong, Endpoint("direct", "127.0.0.1", port)])
    with pytest.raises(TransportError, match="no SSH endpoint yet"):
        answering_endpoint([])
