"use strict";
/* The page as a whole: what is current, what is listed, and what each action does. */
Review.app = (() => {
  const { make, line, count, shown } = Review.text;
  const PALETTE = ["#a6761d", "#1b9e77", "#7570b3", "#e7298a", "#66a61e", "#666666"];
  const at = (id) => document.getElementById(id);
  let head = null;
  let visible = [];
  let filter = { ...Review.filters.EMPTY };
  let page = 0;
  let current = -1;
  let regions = [];
  let queue = Promise.resolve();

  Review.colour = (label) => head.colours[label] ?? PALETTE[Math.max(0, head.labels.indexOf(label)) % PALETTE.length];

  Review.swatch = (label) => {
    const node = make("span", { class: "swatch", "aria-hidden": "true" });
    node.style.backgroundColor = Review.colour(label);
    return node;
  };

  const say = (words) => {
    at("said").textContent = shown(words);
  };

  const showError = (error) => {
    at("trouble").textContent = shown(error.message ?? error);
    at("trouble").hidden = false;
  };

  /** Do things one after the other: a key that is pressed while a page is still read means what comes then. */
  const inTurn = (act) => {
    queue = queue.then(act).catch(showError);
    return queue;
  };

  /** Make a region, or a page (region -1), the one that is looked at. */
  const visit = async (index, pageIndex = Review.decisions.pageOf(index)) => {
    const details = pageIndex === page && regions.length ? regions : await Review.pieces.page(pageIndex);
    [page, current, regions] = [pageIndex, index, details];
    Review.stage.open(page, regions);
    Review.stage.choose(current);
    Review.list.choose(page, current);
    showDetails();
    progress();
  };

  const showDetails = () => Review.details.show(page, current, current < 0 ? null : regions[current - head.pages[page].first]);

  const progress = () => {
    const counts = Review.decisions.counts();
    const total = head.regions.id.length;
    const done = total - counts.open;
    at("done").textContent = `${done.toLocaleString("en")} of ${count(total, "region")} decided`;
    at("counts").textContent = `✓ ${counts.accepted}  ✎ ${counts.corrected}  ✕ ${counts.rejected}`;
    at("bar").value = total ? done / total : 1;
    const place = current < 0 ? -1 : position(current);
    const here = visible[place] === current && current >= 0 ? `${(place + 1).toLocaleString("en")} of ` : "";
    at("listed").textContent = Review.filters.isEmpty(filter) ? `${here}${count(visible.length, "region")}` : `${here}${visible.length.toLocaleString("en")} that pass the filter`;
    at("unsaved").hidden = Review.decisions.isKept();
  };

  /** Where an index stands in the list, or would. */
  const position = (index) => {
    let [low, high] = [0, visible.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (visible[middle] < index) low = middle + 1;
      else high = middle;
    }
    return low;
  };

  const after = (index) => {
    const place = position(index);
    return visible[place] === index ? visible[place + 1] : visible[place];
  };

  const anchor = () => (current >= 0 ? current : head.pages[page].first - 0.5);

  const refilter = async () => {
    visible = await Review.filters.passing(head, filter, (done, of) => say(of > 1 ? `reading ${done} of ${of} pieces` : ""));
    const wholePages = Review.filters.isEmpty(filter);
    Review.list.fill(visible, wholePages);
    say("");
    at("nothing").hidden = visible.length > 0 || wholePages;
    at("unfilter").hidden = wholePages;
    progress();
  };

  const filtered = async () => {
    await refilter();
    if (visible.length && visible[position(current)] !== current) await visit(visible[Math.min(position(anchor()), visible.length - 1)]);
    else Review.list.choose(page, current);
  };

  const repaint = async () => {
    if (filter.status || filter.label) await refilter();
    Review.list.paint();
    Review.stage.paint();
    showDetails();
    progress();
  };

  const decide = async (changes, words, next) => {
    if (Review.decisions.decide(changes, current)) await repaint();
    if (next !== undefined) await visit(next);
    say(words);
  };

  const withCurrent = (act) => () => {
    if (current >= 0) return act();
    say("choose a region first: j");
    return undefined;
  };

  const walkOpen = (step) => {
    const places = visible.length;
    let place = position(anchor());
    if (step > 0 && visible[place] === current) place += 1;
    if (step < 0) place -= 1;
    for (let tried = 0; tried < places; tried += 1, place += step) {
      const index = visible[((place % places) + places) % places];
      if (index !== current && Review.decisions.status(index) === "open") return visit(index);
    }
    say("nothing is undecided in this list");
    return undefined;
  };

  const turn = (step) => {
    const pages = Review.filters.isEmpty(filter) ? head.pages.map((_, index) => index) : [...new Set(visible.map(Review.decisions.pageOf))];
    const next = step > 0 ? pages.find((index) => index > page) : pages.findLast((index) => index < page);
    if (next === undefined) return say("no page beyond this one");
    const first = visible[position(head.pages[next].first)];
    return first !== undefined && Review.decisions.pageOf(first) === next ? visit(first) : visit(-1, next);
  };

  const move = (event, resize) => {
    const by = event.shiftKey ? 10 : 1;
    const [dx, dy] = { ArrowLeft: [-by, 0], ArrowRight: [by, 0], ArrowUp: [0, -by], ArrowDown: [0, by] }[event.key];
    return moved(current, Review.stage.shifted(Review.decisions.box(current), resize ? (dx ? "e" : "s") : "", dx, dy));
  };

  const moved = (index, box) => decide([[index, Review.decisions.corrected(index, Review.decisions.label(index), box)]], "corrected");

  const relabel = (label) => {
    at("labels").close();
    return decide([[current, Review.decisions.corrected(current, label, Review.decisions.box(current))]], `labelled ${label}`);
  };

  const openLabels = () => {
    const now = Review.decisions.label(current);
    const buttons = head.labels.map((label, index) =>
      make("button", { type: "button", onclick: () => inTurn(() => relabel(label)), class: label === now ? "on" : null }, make("kbd", {}, String(index + 1)), " ", Review.swatch(label), " ", line(label, 60)));
    at("label-list").replaceChildren(...buttons);
    at("labels").showModal();
    buttons[Math.max(0, head.labels.indexOf(now))].focus();
  };

  const labelKeys = (event) => {
    const buttons = [...at("label-list").children];
    const place = buttons.indexOf(document.activeElement);
    const letter = Review.keys.nameOf(event).toLowerCase();
    if (/^[1-9]$/.test(letter) && buttons[Number(letter) - 1]) buttons[Number(letter) - 1].click();
    else if (event.key === "ArrowDown") buttons[(place + 1) % buttons.length].focus();
    else if (event.key === "ArrowUp") buttons[(place - 1 + buttons.length) % buttons.length].focus();
    else if (/^[a-z]$/.test(letter)) {
      const order = [...buttons.slice(place + 1), ...buttons.slice(0, place + 1)];
      order.find((button) => head.labels[buttons.indexOf(button)].toLowerCase().startsWith(letter))?.focus();
    } else return;
    event.preventDefault();
  };

  const openExport = () => {
    const changed = Review.decisions.changed().length;
    at("export-words").textContent = changed
      ? `${count(changed, "decision")} made here and not yet applied to the workspace.`
      : "No decision was made here that the workspace does not hold already.";
    at("save-patch").disabled = changed === 0;
    at("export").showModal();
  };

  const theme = (next) => {
    const order = ["system", "dark", "light"];
    let now = "system";
    try {
      now = localStorage.getItem("spotter-review-theme") ?? "system";
      if (next) localStorage.setItem("spotter-review-theme", order[(order.indexOf(now) + 1) % 3]);
    } catch {
      /* A browser that keeps nothing: the theme lasts as long as the page. */
      now = document.documentElement.dataset.theme ?? "system";
    }
    const chosen = next ? order[(order.indexOf(now) + 1) % 3] : now;
    document.documentElement.dataset.theme = chosen;
    if (next) say(`theme: ${chosen === "system" ? "as the system" : chosen}`);
  };

  const back = async (walked, words) => {
    if (walked === null) return say(`nothing to ${words}`);
    await repaint();
    if (walked >= 0) await visit(walked);
    return say(`${words}: done`);
  };

  const actions = {
    next: () => { const next = current < 0 ? visible[position(anchor())] : after(current); return next === undefined ? say("the last region of this list") : visit(next); },
    previous: () => { const place = position(anchor()) - 1; return place < 0 ? say("the first region of this list") : visit(visible[place]); },
    nextOpen: () => walkOpen(1),
    previousOpen: () => walkOpen(-1),
    nextPage: () => turn(1),
    previousPage: () => turn(-1),
    first: () => (visible.length ? visit(visible[0]) : undefined),
    last: () => (visible.length ? visit(visible[visible.length - 1]) : undefined),
    accept: withCurrent(() => decide([[current, Review.decisions.corrected(current, Review.decisions.label(current), Review.decisions.box(current))]], "accepted", after(current))),
    reject: withCurrent(() => decide([[current, { s: "rejected" }]], "rejected", after(current))),
    acceptPage: () => {
      const { first, count: total } = head.pages[page];
      const open = visible.filter((index) => index >= first && index < first + total && Review.decisions.status(index) === "open");
      if (!open.length) return say("nothing of this page is undecided in this list");
      return decide(open.map((index) => [index, { s: "accepted" }]), `accepted ${count(open.length, "region")}`);
    },
    relabel: withCurrent(openLabels),
    clear: withCurrent(() => decide([[current, undefined]], "undecided again")),
    undo: () => back(Review.decisions.undo(), "undo"),
    redo: () => back(Review.decisions.redo(), "redo"),
    nudge: (event) => withCurrent(() => move(event, false))(),
    resize: (event) => withCurrent(() => move(event, true))(),
    zoomIn: () => Review.stage.zoomBy(1.3),
    zoomOut: () => Review.stage.zoomBy(1 / 1.3),
    zoomFit: () => Review.stage.zoomBy(0),
    boxes: () => say(Review.stage.toggle("boxes") ? "boxes are shown" : "only the chosen box is shown"),
    masks: () => say(Review.stage.toggle("masks") ? "masks are shown" : "masks are hidden"),
    source: () => { const { href } = head.documents[head.pages[page].d]; const { n } = head.pages[page]; if (href) window.open(href + (n === null ? "" : `#page=${n}`), "_blank", "noreferrer"); else say("the source is not in this workspace"); },
    filter: () => { at("text").focus(); at("text").select(); },
    filters: () => { at("more").open = true; at("status").focus(); },
    unfilter: () => { filter = { ...Review.filters.EMPTY }; at("filters").reset(); return filtered(); },
    export: openExport,
    theme: () => theme(true),
    help: () => at("help").showModal(),
    escape: () => { at("more").open = false; if (!Review.stage.stopDrag()) at("list").focus({ preventScroll: true }); },
  };

  const options = (select, values) => select.append(...values.map(([value, words]) => make("option", { value }, line(words, 80))));

  const startFilters = () => {
    options(at("document"), head.documents.map((document, index) => [String(index), document.source]));
    options(at("label"), head.labels.map((label) => [label, label]));
    options(at("tag"), head.tags.map((tag) => [tag, tag]));
    options(at("flag"), head.flags.map((flag) => [flag, flag]));
    let typing = 0;
    at("filters").addEventListener("input", (event) => {
      const form = new FormData(at("filters"));
      const score = (name, none) => (form.get(name) === "" ? none : Number(form.get(name)));
      filter = {
        text: form.get("text"), document: form.get("document"), label: form.get("label"), status: form.get("status"),
        tag: form.get("tag"), flag: form.get("flag"), min: score("min", 0), max: score("max", 1),
      };
      clearTimeout(typing);
      typing = setTimeout(() => inTurn(filtered), event.target.id === "text" ? 120 : 0);
    });
    at("filters").addEventListener("submit", (event) => event.preventDefault());
    at("filters").addEventListener("keydown", (event) => {
      if (event.key === "Escape") at("more").open = false;
      if (event.key === "Escape" || (event.key === "Enter" && event.target.matches("input"))) at("list").focus();
    });
    at("unfilter").addEventListener("click", () => inTurn(actions.unfilter));
    document.addEventListener("pointerdown", (event) => { if (!at("more").contains(event.target)) at("more").open = false; });
  };

  const start = async () => {
    theme(false);
    head = Review.pieces.start();
    Review.decisions.start(head);
    Review.list.start(head, at("list"), (chosen) => inTurn(() => (chosen >= 0 ? visit(chosen) : visit(-1, -1 - chosen))));
    Review.stage.start(head, at("stage"), { chosen: (index) => inTurn(() => visit(index)), moved: (index, box) => inTurn(() => moved(index, box)) });
    Review.details.start(head, at("details"), { act: (name) => inTurn(actions[name]) });
    Review.printing.start(head, at("paper"), () => ({ index: page, regions }));
    startFilters();
    at("key-table").replaceChildren(Review.keys.help());
    at("labels").addEventListener("keydown", labelKeys);
    for (const [id, action] of [["export-button", "export"], ["help-button", "help"], ["theme-button", "theme"]]) at(id).addEventListener("click", actions[action]);
    at("save-patch").addEventListener("click", () => Review.exports.savePatch(head));
    at("save-coco").addEventListener("click", () => Review.exports.saveCoco(head, (done, of) => say(`reading ${done} of ${of} pieces`)).then(() => say("saved")).catch(showError));
    for (const dialog of document.querySelectorAll("dialog")) {
      dialog.addEventListener("click", (event) => { if (event.target === dialog || event.target.closest("[data-close]")) dialog.close(); });
    }
    window.addEventListener("storage", () => { inTurn(() => { Review.decisions.read(); return repaint(); }); });
    window.addEventListener("beforeunload", (event) => { if (!Review.decisions.isKept()) event.preventDefault(); });
    Review.keys.start((action, event) => inTurn(() => actions[action](event)));
    await refilter();
    if (visible.length) await visit(visible[0]);
    else if (head.pages.length) await visit(-1, 0);
    at("list").focus({ preventScroll: true });
    document.documentElement.dataset.ready = "yes";
  };

  return { start, actions };
})();
Review.app.start().catch((error) => {
  document.getElementById("trouble").textContent = `This page cannot be shown: ${error.message}`;
  document.getElementById("trouble").hidden = false;
});
