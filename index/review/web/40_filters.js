"use strict";
/* Which regions are listed: every condition must hold. */
Review.filters = (() => {
  const EMPTY = { text: "", document: "", label: "", status: "", tag: "", flag: "", min: 0, max: 1 };
  let words = new Map();

  /** The words of a region that a text filter looks through. */
  const wordsOf = (index, region) => {
    if (!words.has(index)) {
      const struct = region.struct ? JSON.stringify(Object.values(region.struct)) : "";
      const facts = region.facts.map((fact) => fact.text).join("\n");
      words.set(index, Review.text.folded([region.caption, region.text, facts, struct, region.id].join("\n")));
    }
    return words.get(index);
  };

  const isEmpty = (filter) => Object.keys(EMPTY).every((name) => filter[name] === EMPTY[name]);

  /** Indices of the regions that pass, in the page's order; text is looked for in every piece, which are loaded then. */
  const passing = async (head, filter, told) => {
    const wanted = Review.text.folded(filter.text).split(/\s+/).filter(Boolean);
    if (wanted.length) await Review.pieces.all(told);
    const found = [];
    for (let page = 0; page < head.pages.length; page += 1) {
      const { d, first, count } = head.pages[page];
      if (filter.document !== "" && d !== Number(filter.document)) continue;
      const regions = wanted.length && count ? await Review.pieces.page(page) : null;
      for (let index = first; index < first + count; index += 1) {
        const score = head.regions.score[index];
        if (filter.label && Review.decisions.label(index) !== filter.label) continue;
        if (filter.status === "reviewed" ? Review.decisions.status(index) === "open" : filter.status && Review.decisions.status(index) !== filter.status) continue;
        if (filter.tag && !head.regions.tags[index].some((tag) => head.tags[tag] === filter.tag)) continue;
        if (filter.flag && !head.regions.flags[index].some((flag) => head.flags[flag] === filter.flag)) continue;
        if (score < filter.min || score > filter.max) continue;
        if (regions && !wanted.every((word) => wordsOf(index, regions[index - first]).includes(word))) continue;
        found.push(index);
      }
    }
    return found;
  };

  return { EMPTY, isEmpty, passing };
})();
