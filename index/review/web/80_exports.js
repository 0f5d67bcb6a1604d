"use strict";
/* What leaves the page: a patch for `spotter review apply`, and COCO for `detector given` and every COCO tool. */
Review.exports = (() => {
  const save = (name, parts, type) => {
    const url = URL.createObjectURL(new Blob(parts, { type }));
    const link = Review.text.make("a", { href: url, download: name, hidden: true });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
  };

  const entry = (head, index) => {
    const page = head.pages[Review.decisions.pageOf(index)];
    return {
      run: head.runs[page.run], document: head.documents[page.d].id, page: page.n, region: head.regions.id[index],
      status: Review.decisions.status(index), label: Review.decisions.label(index), bbox_px: Review.decisions.box(index),
      was: { label: head.labels[head.regions.label[index]], bbox_px: head.regions.box[index] },
    };
  };

  /** Every decision that was made here and is not in the workspace yet. */
  const patch = (head) => ({
    kind: "spotter-review", version: 1, made: new Date().toISOString(),
    regions: Review.decisions.changed().map((index) => entry(head, index)),
  });

  /** Text of a COCO file in parts, a page at a time. Rejected regions are left out; corrected ones have the score 1. */
  const coco = async (head, told) => {
    await Review.pieces.all(told);
    const images = [];
    const annotations = [];
    for (let index = 0; index < head.pages.length; index += 1) {
      const page = head.pages[index];
      if (page.n === null || page.failed) continue;
      const document = head.documents[page.d];
      images.push(JSON.stringify({
        id: images.length + 1, file_name: page.file, width: page.w, height: page.h, document: document.id, page: page.n, source: document.source,
      }));
      const regions = await Review.pieces.page(index);
      regions.forEach((region, at) => {
        const number = page.first + at;
        const status = Review.decisions.status(number);
        if (status === "rejected") return;
        const [x, y, w, h] = Review.decisions.box(number);
        annotations.push(JSON.stringify({
          id: annotations.length + 1, image_id: images.length, category_id: head.labels.indexOf(Review.decisions.label(number)) + 1,
          bbox: [x, y, w, h], area: region.mask ? region.own.mask_area_px ?? w * h : w * h, iscrowd: 0, segmentation: region.mask ?? [],
          score: status === "corrected" ? 1 : head.regions.score[number], region_id: region.id, review: status, ...region.own,
          detector: region.detector, ...(region.segmenter ? { segmenter: region.segmenter, segmenter_version: region.segmenter_version } : {}),
        }));
      });
    }
    const categories = head.labels.map((name, at) => ({ id: at + 1, name, supercategory: "region" }));
    return ['{"info":{"description":"reviewed regions of document pages","version":"1"},"licenses":[],"images":[', images.join(","), '],"annotations":[', annotations.join(","), '],"categories":', JSON.stringify(categories), "}\n"];
  };

  const stem = () => `review-${new Date().toISOString().slice(0, 19).replaceAll(":", "").replace("T", "-")}`;

  const savePatch = (head) => save(`${stem()}.patch.json`, [JSON.stringify(patch(head), null, 1), "\n"], "application/json");

  const saveCoco = async (head, told) => save(`${stem()}.coco.json`, await coco(head, told), "application/json");

  return { patch, coco, savePatch, saveCoco };
})();
