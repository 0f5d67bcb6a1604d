"""What can be done in the review view."""

from __future__ import annotations

from console.actions.action import Action
from console.language import N_

CLASSES = 9
"""Labels that have a key of their own: the digits."""
_LIST = "spotter review queue RUN"
_DECIDE = "spotter review decide RUN REGION"

ACTIONS: tuple[Action, ...] = (
    Action("review.accept", "a", N_("Accept"), N_("The region is right, as it stands now; on to the next"),
           f"{_DECIDE} accepted"),
    Action("review.reject", "x", N_("Reject"), N_("There is no such region; on to the next"), f"{_DECIDE} rejected"),
    *(
        Action(f"review.class-{n}", str(n), N_("Class"), N_("Call it by the class of this number"),
               f"{_DECIDE} --label LABEL", together=N_("Class"))
        for n in range(1, CLASSES + 1)
    ),
    Action("review.box", "b", N_("Box"),
           N_("Arrows move its box, shift and arrows size it; b or enter keeps it, esc does not"),
           f"{_DECIDE} --box X,Y,W,H"),
    Action("review.step", "full_stop", N_("Pixels"), N_("Boxes move by 1 or by 10 pixels"), in_footer=False),
    Action("review.reopen", "n", N_("Undecided"), N_("Leave it undecided"), f"{_DECIDE} open", in_footer=False),
    Action("review.undo", "u", N_("Undo"), N_("Take the last decision back; as often as there are decisions"),
           "spotter review back RUN"),
    Action("review.next", "j", N_("Next region"), N_("The next region"), _LIST, in_footer=False),
    Action("review.previous", "k", N_("Region before"), N_("The region before"), _LIST, in_footer=False),
    Action("review.first", "g,home", N_("First region"), N_("The first region"), in_footer=False),
    Action("review.last", "G,end", N_("Last region"), N_("The last region"), in_footer=False),
    Action("review.up", "up", N_("Region before"), N_("The region before; of a box that is moved, up"),
           in_footer=False),
    Action("review.down", "down", N_("Next region"), N_("The next region; of a box that is moved, down"),
           in_footer=False),
    Action("review.left", "left", N_("Page before"), N_("The page before; of a box that is moved, left"),
           in_footer=False),
    Action("review.right", "right", N_("Next page"), N_("The next page; of a box that is moved, right"),
           in_footer=False),
    Action("review.shorter", "shift+up", N_("Less high"), N_("Make the box less high"), in_footer=False),
    Action("review.taller", "shift+down", N_("Higher"), N_("Make the box higher"), in_footer=False),
    Action("review.narrower", "shift+left", N_("Narrower"), N_("Make the box narrower"), in_footer=False),
    Action("review.wider", "shift+right", N_("Wider"), N_("Make the box wider"), in_footer=False),
    Action("review.doubtful", "f", N_("Doubtful"), N_("The next undecided region below the threshold"),
           f"{_LIST} 'score<0.5 status:open'"),
    Action("review.raise", "plus,equals_sign", N_("Threshold"), N_("Doubt more: the threshold 0.05 higher"),
           in_footer=False),
    Action("review.lower", "minus", N_("Threshold"), N_("Doubt less: the threshold 0.05 lower"), in_footer=False),
    Action("review.filter", "slash", N_("Filter"), N_("score<0.5 label:table status:open page:=3 words"), _LIST),
    Action("review.page", "enter", N_("Page"), N_("The whole page; of a box that is moved, keep it"), in_footer=False),
    Action("review.open", "o", N_("Viewer"), N_("Open the document at its page in a viewer"), in_footer=False),
    Action("review.pictures", "i", N_("Pictures"), N_("Pictures of two pixels a cell, or none"), in_footer=False),
    Action("review.run", "t", N_("Run"), N_("The run that made it"), "spotter watch RUN", in_footer=False),
    Action("review.log", "l", N_("Log"), N_("The run's log at the second in which it was made"), "spotter logs RUN",
           in_footer=False),
    Action("review.save", "w", N_("Save"), N_("Write the decisions as a patch and all regions as COCO"),
           "spotter review save RUN"),
    Action("review.take", "U", N_("Into the index"),
           N_("Take the decisions into the index; spotter review undo takes them back"),
           "spotter review take RUN", stake="data"),
)  # fmt: skip
