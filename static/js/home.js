// Cards of sales follow what happens: a page asks now and then which of them show something else by now.

import { Idiomorph } from "../vendor/idiomorph.js";
import { showTimes } from "./times.js";

const LOOK_EVERY_MS = 3_000;
const SPREAD_MS = 1_500; // viewers do not ask all at once

const root = document.querySelector("[data-live-cards]");

async function look() {
  if (!document.hidden) await refreshCards().catch(() => {}); // the network may be away; the next look asks again
  setTimeout(look, LOOK_EVERY_MS + Math.random() * SPREAD_MS);
}

async function refreshCards() {
  const cards = [...root.querySelectorAll("[data-card]")];
  if (!cards.length) return;
  const marks = cards.map((card) => card.dataset.card).join(",");
  const answer = await fetch(`${root.dataset.liveCards}?${new URLSearchParams({ at: marks })}`);
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const newer of fresh.querySelectorAll("[data-card]")) {
    const card = document.getElementById(newer.id);
    if (!card) continue;
    Idiomorph.morph(card, newer);
    showTimes(card);
  }
}

if (root) setTimeout(look, LOOK_EVERY_MS);
