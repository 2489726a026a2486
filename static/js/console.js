// A seller's page of one sale: its numbers and orders follow what happens.

import { watchSale } from "./live.js";
import { throttledRefresh } from "./refresh.js";

const REFRESH_MS = 2000;

const watched = document.querySelector("[data-watch]");
const refresh = throttledRefresh(REFRESH_MS);
let isFirst = true;

watchSale(watched.dataset.watch, () => {
  // The first frame is the state the page was just rendered from.
  if (!isFirst) refresh();
  isFirst = false;
});
