"""An emulated instance seen through SSH: who gets in, what commands see, what remains of it."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import psutil
import pytest

from remote.cloud import Endpoint, Instance
from remote.keys import ensure_key_pair
from remote.localcloud import image
from remote.localcloud.processes import processes_of
from tests.remote.cloud_fixtures import Market, living, until


@pytest.fixture(scope="module")
def box(shared_market: Market) -> Iterator[Instance]:
    instance_id = shared_market.rent("spotter-op-box")
    yield shared_market.running(instance_id)
    shared_market.cloud.destroy(instance_id)
    shared_market.gone(instance_id)


def run(market: Market, endpoint: Endpoint, command: str, stdin: bytes = b"") -> tuple[int, str, str]:
    done = market.ssh(endpoint, command, stdin)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.parametrize("which", [0, 1])
def test_both_endpoints_lead_to_the_same_box(shared_market: Market, box: Instance, which: int) -> None:
    code, out, _err = run(shared_market, box.endpoints[which], "echo $CONTAINER_ID; pwd; exit 7")
    assert code == 7
    assert out.splitlines() == [str(box.id), str(shared_market.directory / "instances" / str(box.id) / "root")]


def test_input_output_and_errors_are_carried_byte_for_byte(shared_market: Market, box: Instance) -> None:
    data = bytes(range(256)) * 4096
    done = shared_market.ssh(box.endpoints[0], "cat /dev/stdin; printf oops >&2", data)
    assert done.stdout == data
    assert done.stderr == b"oops"


def test_a_command_sees_the_instance_and_nothing_of_this_machine(
    shared_market: Market, box: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    _code, out, _err = run(shared_market, box.endpoints[0], "env; umask; nvidia-smi; df -Pk .")
    home = str(shared_market.directory / "instances" / str(box.id) / "root")
    lines = out.splitlines()
    assert f"HOME={home}" in lines
    assert f"TMPDIR={home}/tmp" in lines
    assert "VIRTUAL_ENV" not in out
    assert any(line.startswith("CONTAINER_API_KEY=") for line in lines)
    assert f"EMULATED {box.gpu_name}" in out
    assert "overlay 20000000" in out


def test_the_image_has_libraries_but_none_of_our_packages_until_they_are_pushed(
    shared_market: Market, box: Instance
) -> None:
    endpoint = box.endpoints[0]
    home = shared_market.directory / "instances" / str(box.id) / "root"
    code, out, _err = run(shared_market, endpoint, "which python3; python3 -c 'import PIL, yaml; print(PIL.__file__)'")
    assert code == 0
    assert out.splitlines()[0] == f"{home}/venv/bin/python3"
    for package in ("pipeline", "remote", "console", "index"):
        code, _out, err = run(shared_market, endpoint, f"python3 -c 'import {package}'")
        assert code == 1
        assert "ModuleNotFoundError" in err
    pushed = "mkdir -p rel/pipeline && echo 'here = 1' > rel/pipeline/__init__.py && cd / && "
    code, out, _err = run(
        shared_market, endpoint, pushed + "PYTHONPATH=~/rel python3 -c 'import pipeline; print(pipeline.__file__)'"
    )
    assert (code, out.strip()) == (0, f"{home}/rel/pipeline/__init__.py")


def test_the_image_is_brought_up_to_date_although_a_machine_wrote_into_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    libraries = tmp_path / "libraries"
    libraries.mkdir()
    (libraries / "old.py").touch()
    monkeypatch.setattr(image, "_library_folders", lambda: [libraries])
    folder = image.prepare_libraries(tmp_path / "cloud")
    assert [link.name for link in folder.iterdir()] == ["old.py"]
    for place in (folder, libraries):  # both compile what is one file: the machine here, this computer there
        (place / "__pycache__").mkdir()
    (libraries / "old.py").rename(libraries / "new.py")
    assert image.prepare_libraries(tmp_path / "cloud") == folder
    assert sorted(link.name for link in folder.iterdir()) == ["__pycache__", "new.py"]
    assert not (folder / "__pycache__").is_symlink()


def test_what_this_computer_compiled_of_its_libraries_is_not_compiled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    libraries = tmp_path / "libraries"
    (libraries / "__pycache__").mkdir(parents=True)
    ours, gone = (libraries / "__pycache__" / f"{name}.cpython-311.pyc" for name in ("library", "gone"))
    for each in (ours, gone, libraries / "__pycache__" / "_editable_impl_spotter.cpython-311.pyc"):
        each.write_bytes(b"compiled here")
    monkeypatch.setattr(image, "_library_folders", lambda: [libraries])
    folder = image.prepare_libraries(tmp_path / "cloud") / "__pycache__"
    assert {link.name: link.readlink() for link in folder.iterdir()} == {ours.name: ours, gone.name: gone}
    draft = folder / "draft"  # as Python writes what it compiles
    draft.write_bytes(b"compiled there")
    draft.rename(folder / ours.name)
    gone.unlink()
    image.prepare_libraries(tmp_path / "cloud")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {ours.name: b"compiled there"}
    assert ours.read_bytes() == b"compiled here"


def test_gpu_figures_are_queried_like_on_a_real_machine(shared_market: Market, box: Instance) -> None:
    query = "nvidia-smi --query-gpu=index,name,memory.total,utilization.gpu --format=csv,noheader,nounits"
    _code, out, _err = run(shared_market, box.endpoints[0], query)
    assert out == f"0, EMULATED {box.gpu_name}, {box.gpu_ram_mb}, 0\n"


def test_only_root_with_an_attached_key_gets_in(shared_market: Market, box: Instance) -> None:
    stranger = ensure_key_pair(shared_market.directory.parent / "stranger")
    port = str(box.endpoints[0].port)
    options = [
        "-F",
        "none",
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-o",
        "BatchMode=yes",
    ]
    for key, user in ((stranger, "root"), (shared_market.key, "admin")):
        login = [
            "ssh",
            *options,
            "-i",
            str(key.private_path),
            "-o",
            "IdentitiesOnly=yes",
            "-p",
            port,
            f"{user}@127.0.0.1",
        ]
        done = subprocess.run([*login, "true"], capture_output=True, check=False, timeout=30)
        assert done.returncode == 255
        assert b"Permission denied" in done.stderr


def test_a_key_that_is_attached_later_and_detached_again_counts_at_the_next_login(
    shared_market: Market, box: Instance
) -> None:
    late = ensure_key_pair(shared_market.directory.parent / "late")
    guest = Market(shared_market.directory, shared_market.cloud, late)
    assert guest.ssh(box.endpoints[0], "true").returncode == 255
    shared_market.cloud.attach_key(box.id, late.public_line)
    assert guest.ssh(box.endpoints[0], "true").returncode == 0
    _status, answer = shared_market.call("GET", f"/api/v0/instances/{box.id}/ssh/")
    key_id = next(key["id"] for key in json.loads(answer["ssh_keys"]) if key["public_key"] == late.public_line)
    shared_market.call("DELETE", f"/api/v0/instances/{box.id}/ssh/{key_id}/", {})
    assert guest.ssh(box.endpoints[0], "true").returncode == 255


async def test_files_tunnels_and_a_terminal_work(shared_market: Market, box: Instance, unused_tcp_port: int) -> None:
    endpoint = box.endpoints[1]
    async with asyncssh.connect(
        endpoint.host,
        endpoint.port,
        username="root",
        client_keys=[str(shared_market.key.private_path)],
        known_hosts=None,
    ) as connection:
        async with connection.start_sftp_client() as sftp:
            async with sftp.open("имя с 'кавычкой'\n", "wb") as file:
                await file.write(b"content")
            assert await sftp.realpath(".") == str(shared_market.directory / "instances" / str(box.id) / "root")
        done = await connection.run("cat 'имя с '\\''кавычкой'\\'''$'\\n'")
        assert done.stdout == "content"

        program = (
            f"import http.server as h; h.test(h.SimpleHTTPRequestHandler, port={unused_tcp_port}, bind='127.0.0.1')"
        )
        async with connection.create_process(f'exec python3 -u -c "{program}"') as serving:
            await serving.stdout.readline()
            listener = await connection.forward_local_port("127.0.0.1", 0, "127.0.0.1", unused_tcp_port)
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.get_port())
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.0 200")
            writer.close()
            listener.close()
            serving.terminate()
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_connection("192.0.2.1", 80)

        async with connection.create_process(term_type="xterm", term_size=(91, 17)) as shell:
            shell.stdin.write("stty size; tty; exit 3\n")
            assert await shell.wait_closed() is None
            text = await shell.stdout.read()
            assert "17 91" in text
            assert "/dev/pts/" in text
            assert shell.exit_status == 3


def test_a_signal_reaches_the_command_and_is_told(shared_market: Market, box: Instance) -> None:
    assert run(shared_market, box.endpoints[0], "kill -TERM $$")[0] == 255


def test_a_job_that_left_its_session_goes_on_after_the_connection_and_dies_with_the_box(shared_market: Market) -> None:
    instance_id = shared_market.rent("spotter-op-forker")
    endpoint = shared_market.running(instance_id).endpoints[0]
    directory = shared_market.directory / "instances" / str(instance_id)
    fork_twice = (
        "import os, time\n"
        "if os.fork(): os._exit(0)\n"
        "os.setsid()\n"
        "if os.fork(): os._exit(0)\n"
        "open('pid', 'w').write(str(os.getpid()))\n"
        "os.execve('/bin/sleep', ['sleep', '1234'], {})\n"
    )
    shared_market.ssh(endpoint, "cat > fork.py && python3 fork.py </dev/null >/dev/null 2>&1", fork_twice.encode())
    shared_market.ssh(endpoint, "nohup setsid sleep 1235 </dev/null >/dev/null 2>&1 &")
    written = directory / "root" / "pid"
    until(lambda: written.exists() and written.read_text(), "the daemonised job runs")
    job = psutil.Process(int(written.read_text()))
    until(lambda: job.cmdline() == ["sleep", "1234"], "it has become what it is to be")
    assert "SPOTTER_BOX" not in job.environ()
    until(lambda: any("1235" in process.cmdline() for process in processes_of(directory)), "the other one runs")
    shared_market.cloud.destroy(instance_id)
    shared_market.gone(instance_id)
    assert not job.is_running() or job.status() == psutil.STATUS_ZOMBIE
    assert living(directory) == []
    assert not directory.exists()


def test_each_box_has_a_host_key_of_its_own_on_both_ways(market: Market) -> None:
    boxes = [market.running(market.rent(f"spotter-op-{n}")) for n in range(2)]
    seen = []
    for instance in boxes:
        for endpoint in instance.endpoints:
            scanned = subprocess.run(
                ["ssh-keyscan", "-T", "60", "-t", "ed25519", "-p", str(endpoint.port), endpoint.host],
                capture_output=True,
                check=True,
            )
            seen.append(scanned.stdout.split()[-1])
    assert seen[0] == seen[1] != seen[2] == seen[3]


def test_ssh_can_be_refused_for_a_while_and_keys_can_lag(market: Market) -> None:
    market.scenario("create", ssh_refused_s=600, key_lag_s=1200)
    endpoint = market.running(market.rent()).endpoints[0]
    assert b"Connection refused" in market.ssh(endpoint, "true").stderr
    market.clock.sleep(600)
    assert b"Permission denied" in market.ssh(endpoint, "true").stderr
    market.clock.sleep(600)
    assert market.ssh(endpoint, "true").returncode == 0
