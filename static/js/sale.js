// What every room does: it follows its sale live, shows the parts that fit the phase, and says now and then how it stands.
// Buying is in buy.js. What is a format's own it gives to `followSale`.

import { startBuying } from "./buy.js";
import { goBy, serverNowMs } from "./clock.js";
import { serverClock, watchSale } from "./live.js";
import { phaseOf, showPhase, wordOf } from "./phase.js";
import { showTimes } from "./times.js";
import { t } from "./words.js";

const TICK_MS = 250;
const SAY_EVERY_MS = 10_000;
const SPREAD_MS = 5_000; // what every viewer does after the same frame is spread over this

export const room = document.querySelector("[data-room]");
export const find = (name) => room.querySelector(`[${name}]`);

/** The sale as this page knows it. `frame` is the newest one; the page brings the first. */
export const sale = {
  id: room.dataset.room,
  state: room.dataset.state,
  opensAtMs: Date.parse(room.dataset.opensAt),
  endsAtMs: Date.parse(room.dataset.endsAt),
  frame: JSON.parse(document.getElementById("frame").textContent),
  get unitsLeft() {
    return this.frame.units_left ?? null;
  },
};

// What a format may give; by default it has nothing of its own.
const format = {
  purchase: null, // what `startBuying` takes
  show(frame, before) {}, // a newer frame has come
  words(frame) { return ""; }, // how it stands, to be read aloud
  tick(phase) {}, // a quarter of a second has passed
  turn(phase) {}, // the phase has changed
  refresh() {}, // fetch what became of the fan's own things
};
let buying = null;
let shownPhase = null;
let said = "";
let saidAtMs = -Infinity;
let sayTimer = null;

export function followSale(own) {
  Object.assign(format, own);
  buying = startBuying(sale.id, format.purchase && find("data-buy"), find("data-result"), format.purchase);
  showTime();
  said = sentence();
  setInterval(showTime, TICK_MS);
  goBy(serverClock(`/api/v1/sales/${sale.id}/frame`));
  watchSale(sale.id, takeFrame, { onState: showConnection });
  // What came anew came for the phase that the server saw.
  document.addEventListener("refreshed", () => showPhase(room, shownPhase));
}

/** Do this soon, each page at its own moment. */
export function spread(act) {
  setTimeout(act, Math.random() * SPREAD_MS);
}

function takeFrame(frame) {
  const before = sale.frame;
  if (frame.version < before.version) return;
  const stateMoved = frame.state !== sale.state;
  sale.state = frame.state;
  sale.opensAtMs = Date.parse(frame.opens_at);
  showEnd(Date.parse(frame.ends_at ?? frame.closes_at));
  sale.frame = frame;
  format.show(frame, before);
  showTime();
  if (sentence() !== said) saySoon();
  // What became of the fan's own things: passed on, given back. Nothing becomes of them when a sale goes live.
  if (stateMoved && sale.state !== "live") spread(format.refresh);
}

/** The end may move: by a late bid, or by as long as staff have paused the sale. */
function showEnd(endsAtMs) {
  if (endsAtMs === sale.endsAtMs) return;
  sale.endsAtMs = endsAtMs;
  for (const time of room.querySelectorAll("[data-ends-line] time")) time.dateTime = new Date(endsAtMs).toISOString();
  showTimes(room);
}

function showTime() {
  const phase = phaseOf(sale, serverNowMs());
  format.tick(phase);
  if (phase === shownPhase) return;
  const isFirst = shownPhase === null;
  shownPhase = phase;
  showPhase(room, phase);
  buying.setOpen(phase === "open");
  if (isFirst) return;
  saySoon({ atOnce: true });
  format.turn(phase);
}

// Read aloud at most now and then: a number that ticks several times a second would drown everything else.

function sentence() {
  return `${wordOf(shownPhase)}. ${format.words(sale.frame)}`;
}

function saySoon({ atOnce = false } = {}) {
  if (sayTimer !== null && !atOnce) return;
  clearTimeout(sayTimer);
  const waitMs = atOnce ? 0 : Math.max(0, saidAtMs + SAY_EVERY_MS - performance.now());
  sayTimer = setTimeout(() => {
    sayTimer = null;
    saidAtMs = performance.now();
    said = sentence();
    text("data-spoken", said);
  }, waitMs);
}

// Parts of the room, which a page may have or not

export function text(name, value) {
  const part = find(name);
  if (part && part.textContent !== String(value)) part.textContent = value;
}

export function show(name, isShown) {
  const part = find(name);
  if (part) part.hidden = !isShown;
}

const PULSES_SHOWN = 4;
const PULSE_MS = 4_000;

/** Something happened just now: a slip of words that comes and goes. Eyes only: the spoken line has the sum of it. */
export function pulse(words) {
  const strip = find("data-pulse");
  if (!strip || document.hidden) return;
  const slip = document.createElement("span");
  slip.className = "pulse__one";
  slip.textContent = words;
  strip.prepend(slip);
  while (strip.children.length > PULSES_SHOWN) strip.lastChild.remove();
  setTimeout(() => slip.remove(), PULSE_MS);
}

function showConnection(state) {
  text("data-connection", state === "connected" ? "" : t("Not connected; trying again. Numbers may be old."));
}
