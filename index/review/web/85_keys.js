"use strict";
/* One table of keys: what is pressed, what it does, and the help that tells of it. */
Review.keys = (() => {
  const { make } = Review.text;

  /** [keys, action, words]; a letter is found by its place on the keyboard too, so that a Russian layout works. */
  const TABLE = [
    ["j", "next", "next region"],
    ["k", "previous", "previous region"],
    ["n", "nextOpen", "next region that is undecided"],
    ["N", "previousOpen", "previous region that is undecided"],
    ["] PageDown", "nextPage", "next page"],
    ["[ PageUp", "previousPage", "previous page"],
    ["Home", "first", "first region"],
    ["End", "last", "last region"],
    ["a Enter", "accept", "accept and go on"],
    ["r Delete", "reject", "reject and go on"],
    ["A", "acceptPage", "accept what is undecided of this page"],
    ["e", "relabel", "choose another label"],
    ["c Backspace", "clear", "make undecided again"],
    ["u Ctrl+z", "undo", "undo"],
    ["U Ctrl+Z Ctrl+y", "redo", "redo"],
    ["ArrowLeft ArrowRight ArrowUp ArrowDown", "nudge", "move the box by 1 px; with Shift by 10"],
    ["Ctrl+ArrowLeft Ctrl+ArrowRight Ctrl+ArrowUp Ctrl+ArrowDown", "resize", "move its right and bottom edge; with Shift by 10"],
    ["+ =", "zoomIn", "larger"],
    ["-", "zoomOut", "smaller"],
    ["0", "zoomFit", "whole page"],
    ["b", "boxes", "boxes on and off"],
    ["m", "masks", "masks on and off"],
    ["o", "source", "open the source at this page"],
    ["/", "filter", "filter by text"],
    ["f", "filters", "more filters: document, label, status, tag, flag, score"],
    ["F", "unfilter", "no filter"],
    ["x", "export", "save decisions"],
    ["d", "theme", "dark, light, as the system"],
    ["?", "help", "this help"],
    ["Escape", "escape", "close, or leave a field"],
  ];

  const NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc", " ": "Space" };
  const byKey = new Map(TABLE.flatMap(([keys, action]) => keys.split(" ").map((key) => [key, action])));

  /** What a key press is called in the table. */
  const nameOf = (event) => {
    let { key } = event;
    if (!/^[\x20-\x7e]$/.test(key) && key.length === 1 && /^Key[A-Z]$/.test(event.code)) {
      key = event.shiftKey ? event.code[3] : event.code[3].toLowerCase();
    } else if (event.code === "Slash" && (key === "." || key === ",")) {
      key = event.shiftKey ? "?" : "/";
    } else if (!/^[\x20-\x7e]$/.test(key) && key.length === 1 && (event.code === "BracketLeft" || event.code === "BracketRight")) {
      key = event.code === "BracketLeft" ? "[" : "]";
    }
    return (event.ctrlKey || event.metaKey || event.altKey ? "Ctrl+" : "") + key;
  };

  const start = (act) => {
    document.addEventListener("keydown", (event) => {
      if (event.isComposing) return;
      const name = nameOf(event);
      const writing = event.target.closest?.("input, select, textarea, dialog[open]");
      if (writing && name !== "Escape") return;
      const pressing = event.target.closest?.("button, a, summary");
      if (pressing && (name === "Enter" || name === " ")) return;
      const action = byKey.get(name);
      if (!action || (writing && writing.matches("dialog"))) return;
      if (action !== "escape") event.preventDefault();
      act(action, event);
    });
  };

  const help = () =>
    make("table", { class: "keys" }, make("tbody", {}, TABLE.map(([keys, , words]) =>
      make("tr", {}, make("td", {}, keys.split(" ").map((key) => [make("kbd", {}, key.split("+").map((part) => NAMES[part] ?? part).join("+") || "+"), " "])), make("td", {}, words)))));

  return { TABLE, start, help, nameOf };
})();
