"use strict";
/* What is printed is the page that is shown: its picture with boxes, and its regions as a table. */
Review.printing = (() => {
  const { make, foreign } = Review.text;

  const start = (head, sheet, shownPage) => {
    window.addEventListener("beforeprint", () => sheet.replaceChildren(...paper(head, shownPage())));
    window.addEventListener("afterprint", () => sheet.replaceChildren());
  };

  const paper = (head, { index, regions }) => {
    const page = head.pages[index];
    const document_ = head.documents[page.d];
    const overlay = document.querySelector("#stage svg").cloneNode(true);
    const picture = Review.pieces.picture(index);
    const rows = regions.map((region, at) => {
      const number = page.first + at;
      return make("tr", {}, make("td", {}, String(region.number)), make("td", {}, Review.decisions.label(number)), make("td", {}, head.regions.score[number].toFixed(2)),
        make("td", {}, Review.decisions.status(number) === "open" ? "" : Review.decisions.status(number)), make("td", {}, foreign((region.caption || region.text).slice(0, 300))));
    });
    const titles = ["", "label", "score", "decision", "caption"].map((title) => make("th", {}, title));
    return [
      make("h1", {}, foreign(document_.source), page.n === null ? "" : `, page ${page.n}`),
      make("p", {}, `run ${head.runs[page.run]}, ${Review.text.count(page.count, "region")}`),
      make("div", { class: "sheet" }, picture ? make("img", { src: picture, alt: "" }) : null, overlay),
      make("table", {}, make("thead", {}, make("tr", {}, titles)), make("tbody", {}, rows)),
    ];
  };

  return { start };
})();
