"""What commands say of one rented, emulated machine: where it is, what it holds, what it cost, and the way out."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from console.cli import app
from console.operations import destroy, offers
from console.operations.doctor import examine
from console.operations.events import OperationEvent
from console.operations.fleet_work import FleetWork
from console.operations.money import money_report
from console.operations.rent import rent
from console.operations.runbook import Phase, Runbook, RunEntry
from console.operations.session import InstanceGone, Session, open_session
from console.operations.shell import shell_command
from console.terminal import PlainReport
from console.words import usd_per_hour
from console.workspace import create_workspace
from remote.cloud import CloudUnreachable, Endpoint
from remote.localcloud.daemon import address
from tests.end_to_end.driving import draw_pdf

RUN = "01jtestrun00000000abcdefgh"
Say = Callable[..., Result]

pytestmark = pytest.mark.xdist_group("one rented machine")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    workspace, _fresh = create_workspace(tmp_path_factory.mktemp("commands"))
    session = open_session(workspace)
    try:
        rent(session)
        yield session
    finally:
        session.stop_local_cloud()


@pytest.fixture
def instance(here: Session) -> int:
    return here.living_rentals()[0].instance_id


@pytest.fixture
def say(here: Session) -> Say:
    def said(*arguments: object) -> Result:
        return CliRunner().invoke(app, ["-C", str(here.workspace.root), *map(str, arguments)])

    return said


@pytest.fixture
def run(here: Session, instance: int) -> Iterator[RunEntry]:
    """A run that works on the machine, of which nothing is here."""
    entry = RunEntry(run_id=RUN, pipeline="docparse", plan_key="k", phase=Phase.LAUNCHED, instance_id=instance)
    yield Runbook(here.workspace).write(entry)
    Runbook(here.workspace).forget(RUN)


def test_an_emulated_machine_is_called_so_wherever_it_shows(say: Say, run: RunEntry, instance: int) -> None:
    for arguments in (["guard", instance], ["runs"], ["bootstrap", instance, "--list"]):
        assert "EMULATED" in say(*arguments).output, arguments


def test_a_step_that_guards_is_listed_in_words(say: Say, instance: int) -> None:
    listed = say("bootstrap", instance, "--list").output
    assert "proven · destroys" in listed
    assert "{" not in listed


def test_services_are_listed_by_either_way_of_naming_the_machine(say: Say, instance: int) -> None:
    for arguments in ([], [instance], ["--on", instance], [instance, "--on", instance]):
        assert f"on instance {instance}" in say("service", "list", *arguments).output, arguments
    refused = say("service", "list", instance, "--on", 7)
    assert (refused.exit_code, "name one instance" in refused.output) == (2, True)


def test_a_dry_run_on_an_instance_tells_that_one_and_its_price(
    here: Session, say: Say, instance: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offers, "find_offers", lambda *_: pytest.fail("it asked for machines, and wants none"))
    page = here.workspace.data / "page.pdf"
    draw_pdf(page, 1, "Value stack")
    machine = here.instance(instance)
    dry = ("run", page, "--instance", instance, "--dry-run")
    said = say(*dry).output
    assert f"instance {instance} does the work, {machine.gpu_name}, {usd_per_hour(machine.usd_per_hour)}" in said
    told = json.loads(say(*dry, "--json").stdout)
    assert (told["instance"], told["usd_per_hour"], told["rents"]) == (instance, machine.usd_per_hour, False)
    gone = say("run", page, "--instance", 7, "--dry-run")
    assert (gone.exit_code, "spotter: there is no instance 7: " in gone.output) == (2, True)
    assert Runbook(here.workspace).entries() == []
    page.unlink()


@pytest.mark.parametrize(
    "arguments",
    [
        ["diff", ""], ["diff", "--take", "box", "", "notes.txt"], ["run", ""], ["run", "docparse", "", "--dry-run"],
        ["review", "take", ""], ["review", "save", ""], ["review", "back", ""], ["review", "queue", ""],
        ["review", "decide", "", "r", "accepted"], ["review", "decide", RUN, "", "accepted"], ["review", "undo", ""],
        ["quality", "--run", "", "--truth", "."], ["cancel", "", "--yes"], ["watch", ""], ["pull", ""], ["logs", ""],
        ["run", "--resume", ""], ["run", "--from", ""], ["export", "", "--format", "coco"],
    ],
)  # fmt: skip
def test_a_variable_that_was_not_set_is_neither_the_newest_nor_the_only_one(
    say: Say, run: RunEntry, arguments: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    said = say(*arguments)
    assert (said.exit_code, said.output.count("\n")) == (2, 1), said.output
    assert said.output.startswith(("spotter: name a run: ", "spotter: an empty ")), said.output


def test_a_machine_that_never_was_is_not_called_gone(here: Session) -> None:
    with pytest.raises(InstanceGone, match="there is no instance 1:"):
        here.instance(1)
    here.ledger.open_instance("local", 3, label="x", gpu_name="X", gpu_usd_per_hour=1.0, disk_usd_per_hour=0.0)
    here.ledger.close_instance("local", 3)
    with pytest.raises(InstanceGone, match="instance 3 is gone"):
        here.instance(3)


def test_the_local_cloud_is_not_ended_over_results_that_are_not_here(say: Say, here: Session, run: RunEntry) -> None:
    refused = say("cloud", "stop", "--yes")
    assert refused.exit_code == 1
    assert f"holds results of run {RUN} that are not here" in refused.output
    assert here.living_cloud() is not None


def test_a_file_that_was_edited_there_keeps_a_machine_and_the_way_out_is_named(
    here: Session, instance: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(destroy, "_edited_there", lambda *_: ["a.ipynb in its working copy"])
    with pytest.raises(destroy.StillNeeded, match=rf"a\.ipynb .*`spotter destroy {instance} --force` gives it up"):
        destroy.check_may_go(here, instance)


def test_what_the_clouds_bill_took_off_is_said(say: Say, here: Session) -> None:
    here.ledger.open_instance("local", 4, label="x", gpu_name="X", gpu_usd_per_hour=0.0, disk_usd_per_hour=0.0)
    here.ledger.adjust("local", 4, 1.5, "traffic that the cloud counted")
    (cost,) = [each for each in money_report(here).instances if each.instance_id == 4]
    assert (cost.usd, cost.settled_usd) == (1.5, 1.5)
    assert "instance 4: the cloud's own bill says $1.50, $1.50 more than was counted by the second" in (
        say("money").output
    )
    here.ledger.close_instance("local", 4)


def test_doctor_tries_the_key(here: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = address(here.workspace.local_cloud)
    assert where is not None
    workspace, _fresh = create_workspace(tmp_path)
    workspace.settings_file.write_text(f'[cloud]\nname = "vast"\nurl = "{where.url}"\n')

    def tried() -> tuple[str, str]:
        (finding,) = [each for each in examine(workspace, "") if each.subject == "vast.ai key"]
        return finding.level, finding.message

    monkeypatch.setenv("VAST_API_KEY", where.api_key)
    level, message = tried()
    assert (level, message.startswith("works, credit $")) == ("ok", True)
    monkeypatch.setenv("VAST_API_KEY", "0" * 64)
    level, message = tried()
    assert (level, str(workspace.env_file) in message) == ("error", True)


def test_a_box_of_a_fleet_that_fails_says_why(here: Session) -> None:
    said = io.StringIO()
    work = FleetWork(here, Runbook(here.workspace), RUN, PlainReport(said))
    work.report_of("b2")(OperationEvent("rent", "failed", "no offer is left", raised=True))
    assert "FAILED  rent       b2 · no offer is left" in said.getvalue()


@pytest.mark.skipif(shutil.which("ssh") is None, reason="needs OpenSSH's client")
def test_a_silent_cloud_keeps_nobody_from_a_box_that_answers_where_it_was_reached_last(
    here: Session, instance: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.reach(instance).close()
    known = here.where(instance)[0]

    def silent(_instance_id: int) -> None:
        raise CloudUnreachable("the cloud does not answer")

    monkeypatch.setattr(here.cloud, "instance", silent)
    with here.reach(instance) as transport:
        assert transport.check(["echo", "here"]).stdout == b"here\n"
    assert shell_command(here, instance).endpoint in {str(each) for each in known.endpoints}

    nowhere = replace(known, endpoints=(Endpoint("direct", "127.0.0.1", 9),))
    kept = here._known_whereabouts
    kept.keep(instance, nowhere)
    with pytest.raises(CloudUnreachable):  # nobody can tell whether it is lost
        here.reach(instance)
    kept.keep(instance, known)
    pin = here.workspace.host_keys / str(instance)
    pin.rename(pin.with_name("aside"))
    with pytest.raises(CloudUnreachable):  # nobody here was ever in it: who answers there may be anybody
        here.where(instance)
    pin.with_name("aside").rename(pin)
