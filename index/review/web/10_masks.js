"use strict";
/* Masks: COCO's compressed run lengths, column by column, drawn on a canvas over the page. */
Review.masks = (() => {
  const MOST_PX = 50000; // no page is larger; what a damaged file says of its size is not believed
  /** Lengths of runs, background first (`rleFrString` of the COCO API); a damaged text gives null. */
  const lengths = (counts) => {
    const runs = [];
    let at = 0;
    while (at < counts.length) {
      let value = 0;
      let shift = 0;
      let going = true;
      while (going) {
        if (at >= counts.length || shift > 55) return null;
        const sign = counts.charCodeAt(at) - 48;
        if (sign < 0 || sign > 63) return null;
        value += (sign & 31) * 2 ** shift;
        going = (sign & 32) !== 0;
        at += 1;
        shift += 5;
        if (!going && sign & 16) value -= 2 ** shift;
      }
      if (runs.length > 2) value += runs[runs.length - 2];
      if (value < 0) return null;
      runs.push(value);
    }
    return runs;
  };

  /** Fill the mask's columns, run by run, scaled to the context; false when the mask is damaged. */
  const fill = (context, mask, colour, width, height) => {
    const [rows, columns] = mask.size;
    const runs = lengths(mask.counts);
    if (runs === null || !(rows > 0 && rows <= MOST_PX) || !(columns > 0 && columns <= MOST_PX) || runs.reduce((sum, run) => sum + run, 0) !== rows * columns) return false;
    const across = width / columns;
    const down = height / rows;
    context.fillStyle = colour;
    context.beginPath();
    let place = 0;
    for (let index = 0; index < runs.length; index += 1) {
      const end = place + runs[index];
      if (index % 2) {
        while (place < end) {
          const column = Math.floor(place / rows);
          const top = place - column * rows;
          const bottom = Math.min(rows, top + end - place);
          context.rect(column * across, top * down, across, (bottom - top) * down);
          place += bottom - top;
        }
      }
      place = end;
    }
    context.fill();
    return true;
  };

  return { lengths, fill };
})();
