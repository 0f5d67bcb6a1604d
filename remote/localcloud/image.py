"""What is "preinstalled" on an emulated instance: a home, shims that speak for the hardware, a worker's Python.

A real image holds Python with the worker's libraries but none of Spotter's own code. Here the libraries are this
machine's, seen through a folder of links that leaves out Spotter's packages and every `.pth` file (an editable
install is one), so that `import pipeline` works on a box only from a pushed release.
"""

from __future__ import annotations

import os
import shlex
import shutil
import site
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from remote.localcloud.box.settings import FULL_NAME

OWN_NAMES = frozenset({"console", "remote", "pipeline", "index"})
OWN_PREFIXES = ("spotter_console", "__editable__", "_editable_impl")
COMPILED = "__pycache__"
"""Where Python keeps what it compiled of modules that are one file. What it compiles itself replaces a link."""
SHIM_MODE = 0o755
BASE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Hardware:
    """What the shims say of the machine."""

    gpu_name: str
    gpu_count: int
    gpu_ram_mb: int
    driver: str
    disk_gb: float
    clock_skew_s: float = 0.0
    """How far its `date` is ahead."""


def prepare_libraries(state_dir: Path) -> Path:
    """The folder of links to this machine's libraries; brought up to date, so that it may be called at every start."""
    folder = state_dir / "image" / "site-packages"
    folder.mkdir(parents=True, exist_ok=True)
    libraries = _library_folders()
    _link(folder, (entry for library in libraries for entry in library.iterdir()))
    compiled = [entry for library in libraries for entry in library.glob(f"{COMPILED}/*.pyc")]
    if compiled or (folder / COMPILED).is_dir():
        (folder / COMPILED).mkdir(exist_ok=True)
        _link(folder / COMPILED, compiled)
    return folder


def _link(folder: Path, entries: Iterable[Path]) -> None:
    """Make the links in `folder` those to the first of each name among `entries`; what is no link stays."""
    wanted: dict[str, Path] = {}
    for entry in entries:
        if _belongs_to_image(entry.name):
            wanted.setdefault(entry.name, entry)
    for link in list(folder.iterdir()):
        if link.is_symlink() and link.readlink() != wanted.get(link.name):
            link.unlink()
    for name, target in wanted.items():
        link = folder / name
        if not os.path.lexists(link):
            link.symlink_to(target)


def _library_folders() -> list[Path]:
    candidates = [*site.getsitepackages(), site.getusersitepackages()]
    return [Path(each) for each in dict.fromkeys(candidates) if each in sys.path and Path(each).is_dir()]


def _belongs_to_image(name: str) -> bool:
    stem = name.split(".", 1)[0]
    if name == COMPILED:  # a folder of links too: machines write their own among them
        return False
    return not (stem in OWN_NAMES or name.startswith(OWN_PREFIXES) or name.endswith((".pth", ".egg-link")))


def make_home(directory: Path, hardware: Hardware, libraries: Path) -> Path:
    """`directory/root` as a fresh login's home, with `directory/bin` before everything on its PATH."""
    home = directory / "root"
    (home / "tmp").mkdir(parents=True)
    _make_environment(home / "venv", libraries)
    shims = directory / "bin"
    shims.mkdir(exist_ok=True)
    texts = {"nvidia-smi": _nvidia_smi(hardware), "df": _df(hardware, directory / FULL_NAME)}
    if hardware.clock_skew_s:
        texts["date"] = _date(hardware)
    for name, text in texts.items():
        (shims / name).write_text(text, encoding="utf-8")
        (shims / name).chmod(SHIM_MODE)
    return home


def _make_environment(environment: Path, libraries: Path) -> None:
    """As `python -m venv --without-pip --symlinks` makes it, in a millisecond instead of a second."""
    base = Path(getattr(sys, "_base_executable", "") or sys.executable).resolve()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    packages = environment / "lib" / f"python{version}" / "site-packages"
    packages.mkdir(parents=True)
    (environment / "bin").mkdir()
    for name in ("python", "python3", f"python{version}"):
        (environment / "bin" / name).symlink_to(base)
    settings = f"home = {base.parent}\ninclude-system-site-packages = false\nversion = {sys.version.split()[0]}\n"
    (environment / "pyvenv.cfg").write_text(settings, encoding="utf-8")
    (packages / "image.pth").write_text(f"{libraries}\n", encoding="utf-8")


def environment_of(directory: Path, instance_id: int, extra: dict[str, str]) -> dict[str, str]:
    """The whole environment of a command on the instance: nothing of this machine's own leaks in."""
    home = directory / "root"
    return {
        "LANG": os.environ.get("LANG", "C.UTF-8"),
        **extra,
        "HOME": str(home),
        "USER": "root",
        "LOGNAME": "root",
        "SHELL": login_shell(),
        "PATH": f"{directory / 'bin'}:{home / 'venv' / 'bin'}:{BASE_PATH}",
        "TMPDIR": str(home / "tmp"),
        "CONTAINER_ID": str(instance_id),
        "VAST_CONTAINERLABEL": f"C.{instance_id}",
    }


def login_shell() -> str:
    """The shell that commands are given to."""
    return shutil.which("bash", path=BASE_PATH) or "/bin/sh"


def wipe(directory: Path) -> None:
    """Remove an instance's directory; files that its processes made unwritable too."""

    def make_writable(_function: object, path: str, _error: object) -> None:
        Path(path).parent.chmod(0o700)
        if not Path(path).is_symlink() and Path(path).is_dir():
            Path(path).chmod(0o700)
            shutil.rmtree(path, ignore_errors=True)
        else:
            Path(path).unlink(missing_ok=True)

    if directory.exists():
        shutil.rmtree(directory, onerror=make_writable)


def _nvidia_smi(hardware: Hardware) -> str:
    name = shlex.quote(f"EMULATED {hardware.gpu_name}")
    return f"""#!/bin/sh
# Speaks for a GPU that is not there.
name={name} count={hardware.gpu_count} memory={hardware.gpu_ram_mb} driver={hardware.driver}
fields= units=1 header=1 every=
set -f
while [ $# -gt 0 ]; do
  case "$1" in
    --query-gpu=*) fields="${{1#*=}}" ;;
    --format=*) case "$1" in *nounits*) units=0 ;; esac; case "$1" in *noheader*) header=0 ;; esac ;;
    -l) shift; every="$1" ;;
    -l*) every="${{1#-l}}" ;;
    --loop=*) every="${{1#*=}}" ;;
    -L|--list-gpus)
      i=0
      while [ $i -lt $count ]; do echo "GPU $i: $name (UUID: GPU-emulated-$i)"; i=$((i+1)); done
      exit 0 ;;
  esac
  shift
done
unit() {{ if [ $units = 1 ]; then printf '%s %s' "$1" "$2"; else printf '%s' "$1"; fi; }}
value() {{
  case "$1" in
    index) printf '%s' "$2" ;;
    name|gpu_name) printf '%s' "$name" ;;
    uuid|gpu_uuid) printf 'GPU-emulated-%s' "$2" ;;
    memory.total) unit "$memory" MiB ;;
    memory.used) unit 512 MiB ;;
    memory.free) unit $((memory - 512)) MiB ;;
    utilization.gpu|utilization.memory) unit 0 % ;;
    temperature.gpu) printf 34 ;;
    power.draw) unit 18.00 W ;;
    power.limit) unit 350.00 W ;;
    clocks.sm|clocks.gr) unit 210 MHz ;;
    driver_version) printf '%s' "$driver" ;;
    *) printf '[N/A]' ;;
  esac
}}
rows() {{
  i=0
  while [ $i -lt $count ]; do
    line= separator=
    rest="$fields,"
    while [ -n "$rest" ]; do
      field="${{rest%%,*}}"; rest="${{rest#*,}}"
      line="$line$separator$(value $field $i)"; separator=', '
    done
    printf '%s\\n' "$line"
    i=$((i+1))
  done
}}
if [ -z "$fields" ]; then
  echo "EMULATED NVIDIA-SMI   Driver Version: $driver"
  fields=index,name,memory.used,memory.total; rows; exit 0
fi
[ $header = 1 ] && printf '%s\\n' "$fields"
rows
while [ -n "$every" ]; do sleep "$every"; rows; done
"""


def _df(hardware: Hardware, full: Path) -> str:
    """The size is the disk that was rented; what is free is this machine's, if that is less, or nothing."""
    real = shutil.which("df", path=BASE_PATH) or "df"
    total_kb = int(hardware.disk_gb * 1_000_000)
    return f"""#!/bin/sh
# The rented disk's size, whatever this machine's is.
free=$({shlex.quote(real)} -Pk "$HOME" | awk 'NR==2 {{print $4}}')
total={total_kb}
[ "$free" -gt "$total" ] && free=$total
[ -e {shlex.quote(str(full))} ] && free=0
echo "Filesystem 1024-blocks Used Available Capacity Mounted on"
echo "overlay $total $((total - free)) $free $(( (total - free) * 100 / total ))% /"
"""


def _date(hardware: Hardware) -> str:
    """A clock that is wrong, for whoever asks `date` (GNU); programs that ask the system see the right time."""
    real = shlex.quote(shutil.which("date", path=BASE_PATH) or "date")
    skew_s = int(hardware.clock_skew_s)
    return f"""#!/bin/sh
# A machine whose clock is {skew_s} s ahead.
exec {real} -d "@$(( $({real} +%s) + {skew_s} ))" "$@"
"""
