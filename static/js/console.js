// A seller's page of one sale: its numbers and orders follow what happens.

import { watchSale } from "./live.js";
import { throttledRefresh } from "./refresh.js";

const REFRESH_MS = 2000;
const LOOK_MS = 5000; // whoever watches or is turned away changes no number of the sale

const watched = document.querySelector("[data-watch]");
const refresh = throttledRefresh(REFRESH_MS);

watchSale(watched.dataset.watch, refresh);
setInterval(() => document.getElementById("pulse") && !document.hidden && refresh(), LOOK_MS);
