from console.nav import LONGEST, History, Place

FLEET, RUNS, RUN = Place("fleet"), Place("runs"), Place("run", "42")


def walked(*places: Place) -> History:
    history = History(places[0])
    for place in places[1:]:
        history.visit(place)
    return history


def test_back_and_forward_retrace_the_way() -> None:
    history = walked(FLEET, RUNS, RUN)
    assert [history.back(), history.back(), history.back()] == [RUNS, FLEET, None]
    assert [history.forward(), history.forward(), history.forward()] == [RUNS, RUN, None]


def test_going_somewhere_new_forgets_what_lay_ahead() -> None:
    history = walked(FLEET, RUNS, RUN)
    history.back()
    history.visit(Place("offers"))
    assert history.forward() is None
    assert history.back() == RUNS


def test_last_goes_to_and_fro() -> None:
    history = walked(FLEET, RUNS)
    assert [history.last(), history.last(), history.last()] == [FLEET, RUNS, FLEET]
    assert walked(FLEET).last() is None


def test_the_same_place_twice_is_one_visit() -> None:
    history = walked(FLEET, RUNS, RUNS)
    assert history.back() == FLEET


def test_only_the_newest_places_are_kept() -> None:
    history = walked(*(Place("run", str(number)) for number in range(LONGEST + 10)))
    steps = 0
    while history.back() is not None:
        steps += 1
    assert steps == LONGEST - 1
