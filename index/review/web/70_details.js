"use strict";
/* Everything about the chosen region: its crop, caption, facts, struct, tags, scores and flags, and where it comes from. */
Review.details = (() => {
  const { make, foreign, shown } = Review.text;
  const CROP_PX = 300;
  let head = null;
  let panel = null;
  let hooks = {};
  let pictureUrl = null;
  let image = null;

  const start = (data, element, callbacks) => {
    head = data;
    panel = element;
    hooks = callbacks;
  };

  /** The crop, cut from the page's picture by the browser, so that it follows a box that is moved. */
  const crop = (pageIndex, box) => {
    const canvas = make("canvas", { class: "crop", role: "img", "aria-label": "the region's crop" });
    const url = Review.pieces.picture(pageIndex);
    if (!url) return null;
    if (url !== pictureUrl) [pictureUrl, image] = [url, Object.assign(new Image(), { src: url })];
    const whole = image;
    whole.decode().then(() => {
      const by = whole.naturalWidth / head.pages[pageIndex].w;
      const [x, y, w, h] = box;
      const scale = Math.min(1.5, (CROP_PX * 2) / w, (CROP_PX * 1.6) / h);
      [canvas.width, canvas.height] = [Math.max(1, Math.round(w * scale)), Math.max(1, Math.round(h * scale))];
      canvas.getContext("2d").drawImage(whole, x * by, y * by, w * by, h * by, 0, 0, canvas.width, canvas.height);
    }, () => canvas.remove());
    return canvas;
  };

  const section = (title, ...content) => {
    const there = content.flat().filter((each) => each !== null && each !== undefined);
    return there.length ? make("section", {}, make("h3", {}, title), there) : null;
  };

  const pairs = (entries) => {
    const told = entries.filter(([, value]) => value !== null && value !== undefined && value !== "");
    return told.length ? make("dl", {}, told.map(([name, value]) => [make("dt", {}, name), make("dd", {}, value instanceof Node ? value : foreign(value))])) : null;
  };

  const percent = (value) => (value === null || value === undefined ? null : Number(value).toFixed(3));

  const source = (pageIndex) => {
    const page = head.pages[pageIndex];
    const document = head.documents[page.d];
    const name = `${shown(document.source)}${page.n === null ? "" : `, page ${page.n}`}`;
    if (!document.href) return make("span", { dir: "auto" }, name);
    const anchor = page.n === null ? "" : `#page=${page.n}`;
    return make("a", { href: document.href + anchor, target: "_blank", rel: "noreferrer", dir: "auto", class: "source" }, name);
  };

  const TOLD_ELSEWHERE = new Set(["rows", "edges", "kind", "analyst", "text_source"]);

  /** A value of a struct: lists of words line by line, anything deeper as JSON. */
  const plain = (value) => {
    if (Array.isArray(value) && value.every((each) => typeof each !== "object")) return value.join("\n");
    return typeof value === "object" ? make("pre", {}, foreign(JSON.stringify(value, null, 1), "code")) : value;
  };

  const struct = (said, text) => {
    if (!said || typeof said !== "object") return said === null || said === undefined ? null : foreign(JSON.stringify(said));
    const parts = [];
    if (Array.isArray(said.rows) && said.rows.length) {
      const rows = said.rows.slice(0, 200).map((row) => make("tr", {}, (Array.isArray(row) ? row : [row]).slice(0, 60).map((cell) => make("td", {}, foreign(cell)))));
      parts.push(make("div", { class: "wide" }, make("table", {}, make("tbody", {}, rows))));
      if (said.rows.length > 200) parts.push(make("p", { class: "dim" }, `… ${said.rows.length - 200} rows more`));
    }
    const edges = Array.isArray(said.edges) ? said.edges : [];
    if (edges.length) parts.push(make("ul", {}, edges.slice(0, 200).map((edge) => make("li", {}, foreign(`${edge?.source ?? "?"} → ${edge?.target ?? "?"}${edge?.label ? ` (${edge.label})` : ""}`)))));
    const empty = (value) => value === null || value === "" || value === 0 || (Array.isArray(value) && !value.length);
    const rest = Object.entries(said).filter(([name, value]) => !TOLD_ELSEWHERE.has(name) && !empty(value) && !(name === "lines" && [].concat(value).join("\n") === text));
    if (rest.length) parts.push(pairs(rest.map(([name, value]) => [name.replaceAll("_", " "), plain(value)])));
    return parts;
  };

  const button = (title, keys, act, pressed) =>
    make("button", { type: "button", onclick: act, "aria-pressed": pressed === undefined ? null : String(pressed), class: pressed ? "on" : null }, title, " ", make("kbd", {}, keys));

  /** Fill the panel for a region, or for a page when `region` is null. */
  const show = (pageIndex, index, region) => {
    const page = head.pages[pageIndex];
    if (region === null) {
      panel.replaceChildren(
        make("h2", {}, page.n === null ? "Document" : `Page ${page.n}`),
        pairs([["source", source(pageIndex)], ["regions", String(page.count)], ["size", page.w ? `${page.w} × ${page.h} px` : null], ["run", head.runs[page.run]], ["problem", page.problem]]),
      );
      return;
    }
    const status = Review.decisions.status(index);
    const label = Review.decisions.label(index);
    const box = Review.decisions.box(index);
    const wasLabel = head.labels[head.regions.label[index]];
    const flags = head.regions.flags[index].map((flag) => head.flags[flag]);
    const parts = [
      make("h2", {}, Review.swatch(label), " ", make("bdi", {}, label), make("span", { class: "dim" }, ` ${region.number} of ${page.count}`), make("span", { class: `status ${status}` }, status === "open" ? "undecided" : status)),
      make("div", { class: "buttons" }, button("accept", "a", () => hooks.act("accept"), status === "accepted"), button("reject", "r", () => hooks.act("reject"), status === "rejected"),
        button("label", "e", () => hooks.act("relabel"), label !== wasLabel), button("clear", "c", () => hooks.act("clear"))),
      flags.length ? make("ul", { class: "flags" }, flags.map((flag) => make("li", {}, "⚑ ", foreign(flag)))) : null,
      crop(pageIndex, box),
      section("Caption", region.caption ? make("p", {}, foreign(region.caption)) : null),
      section("Facts", region.facts.length ? make("ol", {}, region.facts.slice(0, 300).map((fact) => make("li", {}, foreign(fact.text)))) : null,
        region.facts.length > 300 ? make("p", { class: "dim" }, `… ${region.facts.length - 300} facts more`) : null),
      section("Struct", struct(region.struct, region.text)),
      section("Text on the page", region.text ? make("p", { class: "lines" }, foreign(region.text)) : null),
      section("Tags", head.regions.tags[index].length ? make("p", { class: "tags" }, head.regions.tags[index].map((tag) => make("span", { class: "tag" }, foreign(head.tags[tag])))) : null),
      section("About it", pairs([
        ["source", source(pageIndex)], ["score", percent(head.regions.score[index])],
        ["box", `${box.join(", ")} px`], ["was", box.join() === head.regions.box[index].join() ? null : `${head.regions.box[index].join(", ")} px`],
        ["label was", label === wasLabel ? null : wasLabel],
        ["mask", region.mask ? `${region.own.mask_area_px ?? "?"} px` : null], ["mask quality", percent(region.own.mask_quality)], ["mask stability", percent(region.own.mask_stability)],
        ["might be", Object.entries(region.own.alternatives ?? {}).map(([name, score]) => `${name} ${Number(score).toFixed(2)}`).join(", ")],
        ["detector", region.detector], ["prompt", region.own.prompt], ["segmenter", region.segmenter], ["analyst", region.analyst], ["run", head.runs[page.run]], ["region", region.id], ["crop file", region.crop],
      ])),
      section("Problems", region.problems.map((problem) => make("p", { class: "problem" }, foreign(problem)))),
    ];
    panel.replaceChildren(...parts.filter(Boolean));
    panel.scrollTop = 0;
  };

  return { start, show, source };
})();
