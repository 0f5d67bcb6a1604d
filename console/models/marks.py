"""Where the cursor stands in a list and which rows are marked: by key, never by place."""

from __future__ import annotations

from collections.abc import Sequence


class Marks:
    """Cursor and marks of one list.

    Rows may be sorted, filtered, added and removed at any moment; what was marked is what is marked. A row that is
    only hidden keeps its mark, and is no target while it is hidden: nothing is done to what nobody sees.
    """

    def __init__(self) -> None:
        self.cursor: str | None = None
        """Key under the cursor; None while there is no row."""
        self.marked: set[str] = set()
        self._order: tuple[str, ...] = ()
        self._places: dict[str, int] = {}
        self._anchor: str | None = None
        """What was marked last: where a range begins."""

    @property
    def order(self) -> tuple[str, ...]:
        """Keys on screen, from the top down."""
        return self._order

    @property
    def place(self) -> int:
        """Where the cursor stands, counted from the top; 0 while there is no row."""
        return self._places.get(self.cursor or "", 0)

    def place_of(self, key: str) -> int | None:
        """Where a key is on screen; None when it is not."""
        return self._places.get(key)

    def keep(self, order: Sequence[str], alive: frozenset[str] | None = None) -> None:
        """Rows are in this order now. The cursor stays on its key; when that is gone, on what took its place.

        Args:
            order: keys on screen.
            alive: keys of all rows, hidden ones too; None when there are no others than those in `order`.
        """
        before, was_at = self._order, self.place
        self._order = tuple(order)
        self._places = {key: place for place, key in enumerate(self._order)}
        self.marked &= self._places.keys() if alive is None else alive
        if self.cursor not in self._places:
            self.cursor = self._nearest(before, was_at)

    def _nearest(self, before: tuple[str, ...], was_at: int) -> str | None:
        """The first row below the lost one that is still here, else the first above, else the top."""
        if not self._order:
            return None
        for key in (*before[was_at + 1 :], *reversed(before[:was_at])):
            if key in self._places:
                return key
        return self._order[min(was_at, len(self._order) - 1)]

    def go(self, place: int) -> None:
        """Put the cursor on a place; beyond the ends, on the end."""
        if self._order:
            self.cursor = self._order[max(0, min(place, len(self._order) - 1))]

    def toggle(self) -> None:
        """Mark the row under the cursor, or unmark it."""
        if self.cursor is None:
            return
        self.marked ^= {self.cursor}
        self._anchor = self.cursor

    def mark_range(self) -> None:
        """Mark every row from the last one that was marked to the cursor; without one, the cursor's row."""
        if self.cursor is None:
            return
        start = self._places.get(self._anchor or "", self.place)
        low, high = sorted((start, self.place))
        self.marked |= set(self._order[low : high + 1])
        self._anchor = self.cursor

    def clear(self) -> bool:
        """Unmark everything; returns whether anything was marked."""
        had = bool(self.marked)
        self.marked = set()
        self._anchor = None
        return had

    def targets(self) -> tuple[str, ...]:
        """What an action is about: marked rows on screen from the top down, or else the row under the cursor."""
        marked = tuple(key for key in self._order if key in self.marked)
        if marked:
            return marked
        return (self.cursor,) if self.cursor is not None else ()
