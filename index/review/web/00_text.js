"use strict";
/* What comes from records is shown as text, never as markup: every node is made here, and filled by textContent. */
const Review = {};

Review.text = (() => {
  const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;
  const SHORT = 4000;

  /** Characters that steer or hide others (bidi controls, zero widths) are told by their number. */
  const shown = (value) =>
    String(value ?? "").replace(UNSEEN, (one) => "[U+" + one.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0") + "]");

  /** An element with text or children; `on…` are listeners, anything else is an attribute. */
  const make = (tag, properties = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else node.setAttribute(name, value === true ? "" : value);
    }
    for (const child of children.flat(Infinity)) {
      if (child !== null && child !== undefined) node.append(child instanceof Node ? child : document.createTextNode(shown(child)));
    }
    return node;
  };

  /** Foreign text in a box of its own, in its own direction; what is long is cut until it is asked for. */
  const foreign = (value, tag = "span") => {
    const whole = String(value ?? "");
    const node = make(tag, { dir: "auto", class: "foreign" }, whole.slice(0, SHORT));
    if (whole.length > SHORT) {
      const more = make("button", { type: "button", class: "more" }, `… all ${whole.length.toLocaleString("en")} characters`);
      more.addEventListener("click", () => {
        node.textContent = shown(whole);
      });
      node.append(more);
    }
    return node;
  };

  /** One line of foreign text for a row, never longer than `most`. */
  const line = (value, most = 160) => shown(String(value ?? "").slice(0, most).replace(/\s+/g, " "));

  /** As words are compared: case, ё and composed letters make no difference. */
  const folded = (value) => String(value).normalize("NFC").toLowerCase().replaceAll("ё", "е");

  const count = (number, thing) => `${number.toLocaleString("en")} ${thing}${number === 1 ? "" : "s"}`;

  return { shown, make, foreign, line, folded, count };
})();
