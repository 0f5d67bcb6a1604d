"use strict";
/* The page's picture with its masks on a canvas and its boxes as SVG over it; the chosen box can be dragged. */
Review.stage = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const LEAST_PX = 2;
  const HANDLE_PX = 8;
  const HANDLES = { nw: [0, 0], n: [0.5, 0], ne: [1, 0], e: [1, 0.5], se: [1, 1], s: [0.5, 1], sw: [0, 1], w: [0, 0.5] };
  const { make } = Review.text;
  let head = null;
  let frame = null;
  let sheet = null;
  let picture = null;
  let canvas = null;
  let spot = null;
  let overlay = null;
  let note = null;
  let page = -1;
  let regions = [];
  let current = -1;
  let zoom = 1;
  let drag = null;
  let hooks = {};
  const show = { boxes: true, masks: true };

  const start = (data, element, callbacks) => {
    head = data;
    frame = element;
    hooks = callbacks;
    picture = make("img", { alt: "", draggable: "false" });
    canvas = make("canvas", { "aria-hidden": "true" });
    spot = make("canvas", { "aria-hidden": "true" });
    overlay = document.createElementNS(SVG, "svg");
    overlay.setAttribute("preserveAspectRatio", "none");
    note = make("p", { class: "note", hidden: true });
    sheet = make("div", { class: "sheet" }, picture, canvas, spot, overlay);
    frame.replaceChildren(sheet, note);
    picture.addEventListener("error", () => say("The picture of this page cannot be read; boxes stand on an empty page."));
    overlay.addEventListener("pointerdown", pressed);
    overlay.addEventListener("pointermove", dragged);
    overlay.addEventListener("pointerup", released);
    overlay.addEventListener("pointercancel", () => stopDrag());
    frame.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      zoomBy(event.deltaY < 0 ? 1.15 : 1 / 1.15);
    }, { passive: false });
    new ResizeObserver(() => layOut()).observe(frame);
  };

  const say = (words) => {
    note.textContent = Review.text.shown(words);
    note.hidden = !words;
  };

  /** Show a page; `details` are its regions as pieces tell them. */
  const open = (index, details) => {
    if (index !== page) {
      page = index;
      regions = details;
      const { w, h, failed, problem, image, count } = head.pages[page];
      say(failed ? `This page did not come through: ${problem}` : problem ? problem : image ? (count ? "" : "Nothing was found on this page.") : "This run keeps no picture of the page.");
      const url = Review.pieces.picture(page);
      if (url) picture.src = url;
      else picture.removeAttribute("src");
      picture.hidden = !url;
      sheet.hidden = !w;
      overlay.setAttribute("viewBox", `0 0 ${w || 1} ${h || 1}`);
      current = -1;
      layOut();
      frame.scrollTo(0, 0);
    }
  };

  const choose = (region) => {
    stopDrag();
    current = region;
    paint();
    if (region >= 0) reveal();
  };

  const scale = () => sheet.clientWidth / (head.pages[page].w || 1);

  const layOut = () => {
    if (page < 0 || !head.pages[page].w || !frame.clientWidth) return;
    const { w, h } = head.pages[page];
    const fit = Math.min((frame.clientWidth - 16) / w, (frame.clientHeight - 16) / h);
    const width = Math.max(40, w * fit * zoom);
    sheet.style.width = `${width}px`;
    sheet.style.height = `${(width * h) / w}px`;
    paint();
  };

  /** Bring the chosen box into sight when the page is larger than its frame. */
  const reveal = () => {
    const [x, y, w, h] = Review.decisions.box(current);
    const by = scale();
    const [left, top] = [sheet.offsetLeft + x * by, sheet.offsetTop + y * by];
    if (left < frame.scrollLeft || left + w * by > frame.scrollLeft + frame.clientWidth) frame.scrollLeft = left + (w * by) / 2 - frame.clientWidth / 2;
    if (top < frame.scrollTop || top + h * by > frame.scrollTop + frame.clientHeight) frame.scrollTop = top + (h * by) / 2 - frame.clientHeight / 2;
  };

  const zoomBy = (factor) => {
    zoom = factor === 0 ? 1 : Math.min(12, Math.max(0.25, zoom * factor));
    layOut();
    if (current >= 0) reveal();
  };

  const boxOf = (index) => (drag && drag.index === index && drag.box ? drag.box : Review.decisions.box(index));

  const shape = (name, attributes) => {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    return node;
  };

  const paint = () => {
    if (page < 0 || !sheet.clientWidth) return;
    const { first, count } = head.pages[page];
    const made = [];
    const indices = Array.from({ length: count }, (_, at) => first + at);
    const area = (index) => boxOf(index)[2] * boxOf(index)[3];
    indices.sort((one, other) => (one === current) - (other === current) || area(other) - area(one));
    for (const index of indices) {
      if (!show.boxes && index !== current) continue;
      made.push(boxShape(index));
    }
    if (current >= first && current < first + count) made.push(...extras());
    overlay.replaceChildren(...made);
    paintMasks();
  };

  const boxShape = (index) => {
    const [x, y, w, h] = boxOf(index);
    const status = Review.decisions.status(index);
    const rect = shape("rect", { x, y, width: w, height: h, class: `box ${status}${index === current ? " current" : ""}`, "data-region": index });
    rect.style.stroke = Review.colour(Review.decisions.label(index));
    return rect;
  };

  /** The chosen box's handles, where it was before, and its name. */
  const extras = () => {
    const made = [];
    const [x, y, w, h] = boxOf(current);
    const [ox, oy, ow, oh] = head.regions.box[current];
    if (ox !== x || oy !== y || ow !== w || oh !== h) made.push(shape("rect", { x: ox, y: oy, width: ow, height: oh, class: "was" }));
    const side = HANDLE_PX / scale();
    for (const [name, [across, down]] of Object.entries(HANDLES)) {
      // Outside of the box, so that a small one can still be seen and taken hold of.
      const [left, top] = [x + w * across - side * (1 - across), y + h * down - side * (1 - down)];
      const crowded = (across === 0.5 && w < 4 * side) || (down === 0.5 && h < 2 * side);
      if (!crowded) made.push(shape("rect", { x: left, y: top, width: side, height: side, class: `handle ${name}`, "data-handle": name }));
    }
    return made;
  };

  /** All masks on one canvas, which is drawn again only when a decision changes it; the chosen one's on a second. */
  const paintMasks = () => {
    const ratio = Math.min(2, window.devicePixelRatio || 1, 3000 / Math.max(sheet.clientWidth, sheet.clientHeight));
    const [width, height] = [Math.round(sheet.clientWidth * ratio), Math.round(sheet.clientHeight * ratio)];
    canvas.hidden = spot.hidden = !show.masks || !regions.some((region) => region.mask);
    if (canvas.hidden || !width) return;
    const { first } = head.pages[page];
    const look = (at) => [Review.decisions.status(first + at), Review.decisions.label(first + at)];
    const draw = (onto, shows, wanted, alpha) => {
      if (onto.dataset.shows === shows) return;
      onto.dataset.shows = shows;
      [onto.width, onto.height] = [width, height];
      const context = onto.getContext("2d");
      context.globalAlpha = alpha;
      for (const at of wanted) {
        const [status, label] = look(at);
        if (regions[at].mask && status !== "rejected") Review.masks.fill(context, regions[at].mask, Review.colour(label), width, height);
      }
    };
    draw(canvas, [page, width, height, regions.map((_, at) => look(at))].join("|"), regions.keys(), 0.2);
    const chosen = current - first;
    draw(spot, [page, width, height, chosen, look(chosen)].join("|"), regions[chosen] ? [chosen] : [], 0.3);
  };

  const toggle = (what) => {
    show[what] = !show[what];
    paint();
    return show[what];
  };

  const point = (event) => {
    const bounds = sheet.getBoundingClientRect();
    const { w, h } = head.pages[page];
    return [((event.clientX - bounds.left) / bounds.width) * w, ((event.clientY - bounds.top) / bounds.height) * h];
  };

  const pressed = (event) => {
    if (event.button !== 0) return;
    const { handle, region } = event.target.dataset;
    if (handle || Number(region) === current) {
      drag = { index: current, from: point(event), was: Review.decisions.box(current), handle: handle ?? "", box: null };
      overlay.setPointerCapture(event.pointerId);
    } else if (region !== undefined) {
      hooks.chosen(Number(region));
    }
  };

  const dragged = (event) => {
    if (!drag) return;
    const [x, y] = point(event);
    const next = shifted(drag.was, drag.handle, x - drag.from[0], y - drag.from[1]);
    drag.box = next.join() === drag.was.join() ? null : next;
    paint();
  };

  const released = () => {
    const done = drag;
    drag = null;
    if (done?.box) hooks.moved(done.index, done.box);
    else if (done) paint();
  };

  const stopDrag = () => {
    if (!drag) return false;
    drag = null;
    paint();
    return true;
  };

  /** A box moved, or pulled at one of its handles, kept on the page; a tenth of a pixel is as fine as files tell. */
  const shifted = ([x, y, w, h], handle, dx, dy) => {
    const size = head.pages[page];
    const clamp = (value, low, high) => Math.min(Math.max(value, low), Math.max(low, high));
    let [left, top, right, bottom] = [x, y, x + w, y + h];
    if (handle === "") {
      left = clamp(left + dx, 0, size.w - w);
      top = clamp(top + dy, 0, size.h - h);
      [right, bottom] = [left + w, top + h];
    } else {
      if (handle.includes("w")) left = clamp(left + dx, 0, right - LEAST_PX);
      if (handle.includes("e")) right = clamp(right + dx, left + LEAST_PX, size.w);
      if (handle.includes("n")) top = clamp(top + dy, 0, bottom - LEAST_PX);
      if (handle.includes("s")) bottom = clamp(bottom + dy, top + LEAST_PX, size.h);
    }
    const fine = (value) => Math.round(value * 10) / 10;
    return [fine(left), fine(top), fine(right - left), fine(bottom - top)];
  };

  return { start, open, choose, paint, zoomBy, toggle, shifted, stopDrag, say };
})();
