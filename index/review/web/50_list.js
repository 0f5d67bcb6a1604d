"use strict";
/* The list of pages and regions; only the rows in sight exist, so that a hundred thousand scroll like ten. */
Review.list = (() => {
  const ROW_PX = 26;
  const SPARE = 6;
  const { make, line } = Review.text;
  let head = null;
  let scroller = null;
  let sheet = null;
  let rows = new Int32Array(0); // a region's index, or -1 - index of a page
  let rowOf = new Map();
  let current = -1;
  let currentPage = 0;
  let chosen = () => {};

  const start = (data, element, onChosen) => {
    head = data;
    scroller = element;
    chosen = onChosen;
    sheet = make("div", { class: "rows" });
    scroller.append(sheet);
    scroller.addEventListener("scroll", paint, { passive: true });
    new ResizeObserver(paint).observe(scroller);
    sheet.addEventListener("click", (event) => {
      const row = event.target.closest("[data-row]");
      if (row) chosen(rows[Number(row.dataset.row)]);
    });
  };

  /** Show these regions; pages without any are listed only when `everyPage`. */
  const fill = (visible, everyPage) => {
    const made = [];
    rowOf = new Map();
    let next = 0;
    head.pages.forEach((page, index) => {
      const end = page.first + page.count;
      const from = next;
      while (next < visible.length && visible[next] < end) next += 1;
      if (from === next && !everyPage) return;
      rowOf.set(-1 - index, made.length);
      made.push(-1 - index);
      for (let at = from; at < next; at += 1) {
        rowOf.set(visible[at], made.length);
        made.push(visible[at]);
      }
    });
    rows = Int32Array.from(made);
    sheet.style.height = `${rows.length * ROW_PX}px`;
    paint();
  };

  const choose = (page, region) => {
    currentPage = page;
    current = region;
    const row = rowOf.get(region >= 0 ? region : -1 - page);
    if (row !== undefined) {
      const top = row * ROW_PX;
      const height = scroller.clientHeight;
      if (top < scroller.scrollTop + ROW_PX || top + 2 * ROW_PX > scroller.scrollTop + height) {
        scroller.scrollTop = Math.max(0, top - height / 2);
      }
    }
    paint();
  };

  const paint = () => {
    const first = Math.max(0, Math.floor(scroller.scrollTop / ROW_PX) - SPARE);
    const last = Math.min(rows.length, Math.ceil((scroller.scrollTop + scroller.clientHeight) / ROW_PX) + SPARE);
    const made = [];
    for (let row = first; row < last; row += 1) made.push(rows[row] < 0 ? pageRow(row, -1 - rows[row]) : regionRow(row, rows[row]));
    sheet.replaceChildren(...made);
    scroller.setAttribute("aria-activedescendant", current >= 0 ? `region-${current}` : `page-${currentPage}`);
  };

  const placed = (node, row) => {
    node.style.top = `${row * ROW_PX}px`;
    node.dataset.row = row;
    return node;
  };

  const pageRow = (row, index) => {
    const page = head.pages[index];
    const document = head.documents[page.d];
    let open = 0;
    for (let region = page.first; region < page.first + page.count; region += 1) open += Review.decisions.status(region) === "open";
    const left = page.failed ? "failed" : page.count === 0 ? "nothing found" : open ? `${open} left` : "reviewed";
    const here = index === currentPage && current < 0;
    return placed(
      make("div", { class: `row page${here ? " current" : ""}`, id: `page-${index}`, role: "option", "aria-selected": String(here), title: line(document.source, 500) },
        make("span", { class: "name", dir: "auto" }, line(document.name)), make("span", { class: "number" }, page.n === null ? "" : `p. ${page.n}`),
        make("span", { class: "left" }, left)),
      row,
    );
  };

  const regionRow = (row, index) => {
    const status = Review.decisions.status(index);
    const label = Review.decisions.label(index);
    const here = index === current;
    const flags = head.regions.flags[index].length;
    return placed(
      make("div", { class: `row region ${status}${here ? " current" : ""}`, id: `region-${index}`, role: "option", "aria-selected": String(here) },
        make("span", { class: "mark", "aria-label": status === "open" ? "undecided" : status }, { open: "·", accepted: "✓", rejected: "✕", corrected: "✎" }[status]),
        Review.swatch(label), make("span", { class: "label" }, line(label, 40)),
        make("span", { class: "words", dir: "auto" }, line(head.regions.words[index])),
        flags ? make("span", { class: "flag", title: "quality flags" }, "⚑") : null,
        make("span", { class: "score" }, head.regions.score[index].toFixed(2))),
      row,
    );
  };

  return { start, fill, choose, paint };
})();
