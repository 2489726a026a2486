// A seller's page of one sale: its numbers and orders follow what happens.

import { watchSale } from "./live.js";
import { throttledRefresh } from "./refresh.js";

const REFRESH_MS = 2000;

const watched = document.querySelector("[data-watch]");
const refresh = throttledRefresh(REFRESH_MS);

watchSale(watched.dataset.watch, refresh);
