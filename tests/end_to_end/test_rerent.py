"""A run moves to another machine while it works: over the emulated cloud, as processes, nothing done twice."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

from tests.end_to_end.driving import Operator, draw_pdf, held_in_mid_run, wait_for


def test_a_run_that_is_driven_moves_to_another_machine_keeps_what_is_done_and_leaves_nothing_rented(
    operator: Operator,
) -> None:
    draw_pdf(operator.root / "data" / "long.pdf", 16, "Value stack")
    driver = operator.start("run", "--yes", "--param", "workers=1")

    def fetched() -> int:
        path = next((operator.root / "out" / "runs").glob("*/ledger.sqlite"), None)
        if path is None:
            return 0
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as ledger:
            return int(ledger.execute("SELECT count(*) FROM executions WHERE outcome = 'ok'").fetchone()[0])

    working = held_in_mid_run(operator, 1)
    wait_for(lambda: fetched() > 1 or driver.poll() is not None, "a part of the work, here", 90)
    assert driver.poll() is None, operator.log()
    old = operator.run_entry()["instance_id"]
    moving = operator.start("rerent", str(old), "--yes", "--json")
    assert driver.wait(timeout=60) != 0  # it was ended, and told so
    for each in working:
        each.resume()
    assert moving.wait(timeout=180) == 0, operator.log()
    told = json.loads(operator.log().strip().splitlines()[-1])
    assert (told["old_id"], told["old_is_gone"], told["state"]) == (old, True, "succeeded")
    assert told["new_id"] != old
    assert f"asking process {driver.pid}" in operator.log()
    assert "is killed" not in operator.log()
    folder = operator.run_folder()
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    assert [each["seq"] for each in events] == list(range(1, len(events) + 1))
    items = [(each["stage"], each["item"]) for each in events if each["type"] == "item" and each["status"] == "ok"]
    assert len(items) == len(set(items))
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as ledger:
        assert ledger.execute("SELECT max(n) FROM (SELECT count(*) n FROM executions WHERE outcome = 'ok' "
                              "GROUP BY item_id, stage)").fetchone()[0] == 1  # fmt: skip
    assert operator.rented() == 0
    assert not list((operator.root / ".spotter" / "rerent").glob("*.json"))
