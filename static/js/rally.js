// A rally's room: follows the sale live, and lets the price melt. Joining is in buy.js.

import { startBuying } from "./buy.js";
import { goBy, serverNowMs } from "./clock.js";
import { serverClock, watchSale } from "./live.js";
import { moneyIn } from "./money.js";
import { phaseOf } from "./phase.js";
import { throttledRefresh } from "./refresh.js";

const SAY_EVERY_MS = 10_000;
const SPREAD_MS = 5_000; // what every viewer does after the same frame is spread over this
const FRIENDS_EVERY_MS = 20_000; // how often the list of who came by the link may be fetched
const MELT_MS = 900;
const RATE_OVER_MS = 10_000;
const WORDS = { upcoming: "Upcoming", open: "Live", sold_out: "Sold out", ended: "Closed", settled: "Settled", cancelled: "Called off" };

const room = document.querySelector("[data-room]");
const find = (name) => room.querySelector(`[${name}]`);
const money = moneyIn(room.dataset.currency, Number(room.dataset.exponent));
const isCalm = matchMedia("(prefers-reduced-motion: reduce)");
const refreshMine = throttledRefresh(1000);
const refreshFriends = throttledRefresh(FRIENDS_EVERY_MS);
const minimum = Number(room.dataset.minimum);
// In the SVG a step's numbers are hundredths of the picture, as the server worked them out.
const steps = [...room.querySelectorAll("[data-step]")].map((step) => ({
  element: step,
  from: Number(step.dataset.from),
  priceMinor: Number(step.dataset.priceMinor),
  x: parseFloat(step.getAttribute("x")),
  y: parseFloat(step.getAttribute("y")),
  width: parseFloat(step.getAttribute("width")),
}));

const sale = {
  id: room.dataset.room,
  state: room.dataset.state,
  opensAtMs: Date.parse(room.dataset.opensAt),
  closesAtMs: Date.parse(room.dataset.closesAt),
  unitsLeft: room.dataset.unitsLeft === "" ? null : Number(room.dataset.unitsLeft),
  version: Number(room.dataset.version),
  priceMinor: Number(room.dataset.priceMinor),
  count: Number(room.dataset.count),
  everybody: Number(room.dataset.joiners) + Number(room.dataset.waiting),
  joiners: Number(room.dataset.joiners),
};
const arrivals = [{ atMs: performance.now(), everybody: sale.everybody }]; // for the joins per second, the oldest first
let shownPhase = null;
let saidAtMs = -Infinity;
let sayTimer = null;

const form = find("data-buy");
const joining = startBuying(sale.id, form, find("data-result"), {
  url: `/api/v1/rallies/${sale.id}/joins`,
  read: (entered) => ({
    quantity: Number(entered.get("quantity")),
    only_at_or_below: Number(entered.get("only_at_or_below")) || null,
    invite: entered.get("invite"),
  }),
  tell: () => ({ title: "You are in" }),
  onBought() {
    // The panel says it from now on; the focus must not fall into nothing.
    find("data-join-box").hidden = true;
    find("data-join-words").textContent = "Your place";
    const heading = document.getElementById("join-heading");
    heading.tabIndex = -1;
    heading.focus();
    refreshMine();
  },
});

function takeFrame(frame) {
  if (frame.version < sale.version) return;
  const stateMoved = frame.state !== sale.state;
  sale.version = frame.version;
  sale.state = frame.state;
  sale.opensAtMs = Date.parse(frame.opens_at);
  sale.closesAtMs = Date.parse(frame.closes_at);
  sale.unitsLeft = frame.units_left;
  const everybody = frame.joiners + frame.waiting;
  if (everybody !== sale.everybody || frame.price_minor !== sale.priceMinor) {
    if (everybody > sale.everybody && isIn()) refreshFriends();
    showCrowd(frame);
    saySoon();
  }
  if (frame.units_left !== null) find("data-units-left").textContent = frame.units_left;
  showPhase();
  // What became of the fan's own join: paid, let go. Nothing becomes of it when a sale goes live.
  if (stateMoved && sale.state !== "live") setTimeout(refreshMine, Math.random() * SPREAD_MS);
}

function showCrowd(frame) {
  const wasMinor = sale.priceMinor;
  sale.priceMinor = frame.price_minor;
  sale.count = frame.count;
  sale.joiners = frame.joiners;
  sale.everybody = frame.joiners + frame.waiting;
  arrivals.push({ atMs: performance.now(), everybody: sale.everybody });

  text("data-joiners", frame.joiners);
  text("data-units", frame.units);
  text("data-waiting", frame.waiting);
  show("data-waiting-box", frame.waiting > 0);
  show("data-next-box", frame.next_count !== null);
  if (frame.next_count !== null) {
    text("data-next", frame.next_missing);
    text("data-next-price", money(frame.next_price_minor));
  }
  const missing = Math.max(minimum - frame.count, 0);
  text("data-missing", missing);
  show("data-missing-box", missing > 0);
  show("data-minimum-box", missing === 0);
  show("data-saved-line", frame.price_minor < steps[0].priceMinor);
  text("data-saved", money(steps[0].priceMinor - frame.price_minor));
  showOwnPrice(frame.level);
  showStanding(frame.level);
  moveMarker(frame.level, frame.count);
  if (frame.price_minor !== wasMinor) melt(wasMinor, frame.price_minor);
}

/** What the fan's own join comes to at this level. */
function showOwnPrice(level) {
  const mine = room.querySelector("[data-mine]");
  if (!mine) return;
  const { quantity, level: accepts } = mine.dataset;
  const counts = level >= Number(accepts);
  const part = (name) => mine.querySelector(`[${name}]`);
  part("data-pays-now").hidden = !counts;
  part("data-pays-nothing").hidden = counts;
  part("data-pays-now").textContent = money(steps[level].priceMinor * quantity);
  const savedMinor = (steps[0].priceMinor - steps[level].priceMinor) * quantity;
  part("data-saves-now").textContent = money(savedMinor);
  part("data-saves-box").hidden = !counts || savedMinor === 0;
}

function isIn() {
  return room.querySelector("[data-mine]") !== null;
}

// The staircase. The same standing and share as in rallies/stairs.py.

function showStanding(level) {
  steps.forEach((step, number) => {
    const standing = number < level ? "reached" : number === level ? "now" : number === level + 1 ? "next" : "ahead";
    step.element.setAttribute("class", `stairs__step stairs__step--${standing}`);
  });
}

function shareOfStep(level, count) {
  if (level + 1 === steps.length) return 0.5;
  const start = level ? steps[level].from : 0;
  return Math.min(Math.max((count - start) / (steps[level + 1].from - start), 0), 1);
}

function moveMarker(level, count) {
  const marker = find("data-marker");
  const from = { x: parseFloat(marker.getAttribute("x")), y: parseFloat(marker.getAttribute("y")) };
  const to = { x: steps[level].x + steps[level].width * shareOfStep(level, count), y: steps[level].y };
  glide("marker", (share) => {
    marker.setAttribute("x", `${from.x + (to.x - from.x) * share}%`);
    marker.setAttribute("y", `${from.y + (to.y - from.y) * share}%`);
  });
}

/** The price runs down to its new place, tick by tick; for who wants no motion it is there at once. */
function melt(fromMinor, toMinor) {
  const price = find("data-price");
  glide("price", (share) => (price.textContent = money(Math.round(fromMinor + (toMinor - fromMinor) * share))));
  price.classList.remove("melt__price--moved");
  // The next style pass must see the class gone, or the animation would not start again.
  requestAnimationFrame(() => price.classList.add("melt__price--moved"));
}

const gliding = new Map(); // name → number of the newest glide: an older one of the same name ends

function glide(name, draw) {
  const number = (gliding.get(name) ?? 0) + 1;
  gliding.set(name, number);
  // A hidden page draws no frames, and must be right when it is looked at.
  if (isCalm.matches || document.hidden) {
    draw(1);
    return;
  }
  const startMs = performance.now();
  const tick = () => {
    if (gliding.get(name) !== number) return;
    const passed = Math.min((performance.now() - startMs) / MELT_MS, 1);
    draw(1 - (1 - passed) ** 3);
    if (passed < 1) requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
}

// Phases

function showPhase() {
  const phase = phaseOf(sale, serverNowMs());
  showRate(phase);
  if (phase === shownPhase) return;
  room.dataset.phase = phase;
  for (const part of room.querySelectorAll("[data-phases]")) {
    part.hidden = !part.dataset.phases.split(" ").includes(phase);
  }
  const badge = find("data-phase-badge");
  badge.textContent = WORDS[phase];
  badge.className = `badge badge--${phase}`;
  joining.setOpen(phase === "open");
  if (shownPhase !== null) {
    saySoon({ atOnce: true });
    // The end by the clock, before the scheduler has said so.
    if (phase === "ended") setTimeout(refreshMine, Math.random() * SPREAD_MS);
  }
  shownPhase = phase;
}

function showRate(phase) {
  show("data-rate-box", phase === "open");
  const nowMs = performance.now();
  while (arrivals.length > 1 && arrivals[1].atMs < nowMs - RATE_OVER_MS) arrivals.shift();
  // Before the window is full, what came in it is all there is to know.
  const cameIn = Math.max(sale.everybody - arrivals[0].everybody, 0);
  text("data-rate", (cameIn / (RATE_OVER_MS / 1000)).toFixed(1));
}

// Read aloud at most now and then: a price that ticks several times a second would drown everything else.
function saySoon({ atOnce = false } = {}) {
  if (sayTimer !== null && !atOnce) return;
  clearTimeout(sayTimer);
  const waitMs = atOnce ? 0 : Math.max(0, saidAtMs + SAY_EVERY_MS - performance.now());
  sayTimer = setTimeout(() => {
    sayTimer = null;
    saidAtMs = performance.now();
    text("data-price-status", `${WORDS[shownPhase]}. ${money(sale.priceMinor)} each, ${sale.joiners} joined.`);
  }, waitMs);
}

// The form

function showHold() {
  const line = form?.querySelector("[data-hold-line]");
  if (!line) return;
  const entered = new FormData(form);
  const limitMinor = Number(entered.get("only_at_or_below")) || steps[0].priceMinor;
  line.querySelector("[data-hold]").textContent = money(limitMinor * Number(entered.get("quantity")));
  line.hidden = false;
}

// Parts

function text(name, value) {
  const part = find(name);
  if (part && part.textContent !== String(value)) part.textContent = value;
}

function show(name, isShown) {
  const part = find(name);
  if (part) part.hidden = !isShown;
}

function showConnection(state) {
  text("data-connection", state === "connected" ? "" : "Not connected; trying again. Numbers may be old.");
}

form?.addEventListener("change", showHold);
// What the answer said in its own words, the panel says from now on.
document.addEventListener("refreshed", () => isIn() && find("data-result").replaceChildren());
showHold();
showPhase();
setInterval(showPhase, 250);
goBy(serverClock(`/api/v1/sales/${sale.id}/frame`));
watchSale(sale.id, takeFrame, { onState: showConnection });
