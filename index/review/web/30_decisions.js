"use strict";
/* Decisions: what earlier patches say (`head.decided`), over it what is decided here, kept in localStorage per document
   as it is made, with undo. A decision is {s: status, l: label, b: box}; l and b only where they were corrected. */
Review.decisions = (() => {
  let head = null;
  let base = [];
  let local = [];
  let pageOf = null;
  let undone = [];
  let done = [];
  let kept = true;
  let tally = null;
  let entries = []; // per document: region id → decision, as it is kept
  const dirty = new Set();

  const key = (document) => `spotter-review/${head.place}/${document}`;

  const same = (one, other) => JSON.stringify(one ?? null) === JSON.stringify(other ?? null);

  const start = (data) => {
    head = data;
    const total = head.regions.id.length;
    base = new Array(total);
    local = new Array(total);
    undone = [];
    done = [];
    pageOf = new Int32Array(total);
    head.pages.forEach((page, index) => pageOf.fill(index, page.first, page.first + page.count));
    for (const [index, decision] of head.decided) base[index] = decision;
    read();
  };

  const valid = (one) =>
    one && ["accepted", "rejected", "corrected", "open"].includes(one.s) && (one.l === undefined || head.labels.includes(one.l)) &&
    (one.b === undefined || (Array.isArray(one.b) && one.b.length === 4 && one.b.every(Number.isFinite)));

  /** Take over what this browser holds, from here or from another window. */
  const read = () => {
    const byDocument = new Map();
    local.fill(undefined);
    entries = head.documents.map(() => new Map());
    tally = { open: 0, accepted: 0, rejected: 0, corrected: 0 };
    for (let index = 0; index < local.length; index += 1) {
      const { d } = head.pages[pageOf[index]];
      if (!byDocument.has(d)) byDocument.set(d, stored(head.documents[d].id));
      const found = byDocument.get(d)[head.regions.id[index]];
      tally[status(index)] += 1;
      if (valid(found) && !same(found, base[index])) keep(index, found);
    }
  };

  const stored = (document) => {
    try {
      const found = JSON.parse(localStorage.getItem(key(document)) ?? "{}");
      return found && typeof found === "object" ? found : {};
    } catch {
      return {};
    }
  };

  const write = () => {
    try {
      for (const d of dirty) {
        const name = key(head.documents[d].id);
        if (entries[d].size) localStorage.setItem(name, JSON.stringify(Object.fromEntries(entries[d])));
        else localStorage.removeItem(name);
      }
      dirty.clear();
      kept = true;
    } catch {
      kept = false;
    }
  };

  /** What this browser keeps of a region from now on, with everything that is counted of it. */
  const keep = (index, decision) => {
    tally[status(index)] -= 1;
    local[index] = decision;
    tally[status(index)] += 1;
    const of = entries[head.pages[pageOf[index]].d];
    if (decision) of.set(head.regions.id[index], decision);
    else of.delete(head.regions.id[index]);
  };

  const decided = (index) => local[index] ?? base[index];

  const status = (index) => decided(index)?.s ?? "open";

  const label = (index) => decided(index)?.l ?? head.labels[head.regions.label[index]];

  const box = (index) => decided(index)?.b ?? head.regions.box[index];

  const put = (index, decision) => {
    const told = decision === undefined && base[index] ? { s: "open" } : decision;
    keep(index, same(told, base[index]) ? undefined : told);
    dirty.add(head.pages[pageOf[index]].d);
  };

  /** Decide on some regions in one step that can be taken back: changes are [index, decision or undefined for open]. */
  const decide = (changes, at) => {
    const before = changes.map(([index]) => [index, decided(index)]);
    const step = { at, before, after: changes };
    if (changes.every(([index, decision]) => same(decision, decided(index)))) return false;
    for (const [index, decision] of changes) put(index, decision);
    done.push(step);
    undone = [];
    write();
    return true;
  };

  /** The decision that a region's label and box come to: corrected where they differ from the run's, else accepted. */
  const corrected = (index, wantedLabel, wantedBox) => {
    const decision = { s: "accepted" };
    if (wantedLabel !== head.labels[head.regions.label[index]]) decision.l = wantedLabel;
    if (!same(wantedBox, head.regions.box[index])) decision.b = wantedBox;
    if (decision.l !== undefined || decision.b !== undefined) decision.s = "corrected";
    return decision;
  };

  const walk = (from, to, side) => {
    const step = from.pop();
    if (!step) return null;
    for (const [index, decision] of step[side]) put(index, decision);
    to.push(step);
    write();
    return step.at;
  };

  const undo = () => walk(done, undone, "before");

  const redo = () => walk(undone, done, "after");

  /** How many regions have each status. */
  const counts = () => tally;

  const changed = () => {
    const found = [];
    local.forEach((decision, index) => {
      if (decision) found.push(index);
    });
    return found;
  };

  return { start, read, decide, corrected, status, label, box, undo, redo, counts, changed, pageOf: (index) => pageOf[index], isKept: () => kept };
})();
