"use strict";
/* The page's data: a head that is there at once, and pieces and pictures that are taken up when they are looked at.
   In one file they are blocks of text of the document; in a folder, scripts and pictures beside it, for pages that were
   opened from a disk may read no other file. */
Review.pieces = (() => {
  const loaded = new Map();
  const waiting = new Map();
  const urls = new Map();
  const PICTURES_KEPT = 12;
  let head = null;

  const json = (id) => JSON.parse(document.getElementById(id).textContent);

  const start = () => {
    head = json("head");
    return head;
  };

  /** What a script of the folder calls with its number and content. */
  const arrived = (number, content) => {
    loaded.set(number, content);
  };

  /** The regions of every page of a piece: [page][region]. */
  const piece = (number) => {
    if (loaded.has(number)) return Promise.resolve(loaded.get(number));
    if (!head.folder) {
      loaded.set(number, json(`piece-${number}`));
      return Promise.resolve(loaded.get(number));
    }
    if (!waiting.has(number)) {
      const script = document.createElement("script");
      const name = `pieces/${number}.js`;
      waiting.set(
        number,
        new Promise((resolve, reject) => {
          script.onload = () => resolve(loaded.get(number));
          script.onerror = () => {
            waiting.delete(number);
            reject(new Error(`${name} beside this page cannot be read: was the folder copied whole?`));
          };
        }),
      );
      script.src = name;
      document.head.append(script);
    }
    return waiting.get(number);
  };

  /** Everything about the regions of a page, in their order. */
  const page = async (index) => {
    const { piece: number, at } = head.pages[index];
    return (await piece(number))[at];
  };

  const isHere = (index) => loaded.has(head.pages[index].piece);

  /** URL of a page's picture, or null when it has none. Blobs of pages seen long ago are given back. */
  const picture = (index) => {
    const { image } = head.pages[index];
    if (!image) return null;
    if (head.folder) return image;
    if (!urls.has(index)) {
      const text = atob(document.getElementById(image).textContent);
      const bytes = Uint8Array.from(text, (one) => one.charCodeAt(0));
      urls.set(index, URL.createObjectURL(new Blob([bytes], { type: "image/webp" })));
      if (urls.size > PICTURES_KEPT) {
        const [oldest, url] = urls.entries().next().value;
        URL.revokeObjectURL(url);
        urls.delete(oldest);
      }
    }
    return urls.get(index);
  };

  /** All pieces, one after the other; `told(done, of)` in between. */
  const all = async (told = () => {}) => {
    for (let number = 0; number < head.pieces; number += 1) {
      await piece(number);
      told(number + 1, head.pieces);
      if (number % 8 === 7) await new Promise((next) => setTimeout(next));
    }
  };

  return { start, arrived, page, isHere, picture, all };
})();
