// A rally's room: the price melts, the crowd stands on its staircase.

import { moneyIn } from "../js/money.js";
import { throttledRefresh } from "../js/refresh.js";
import { find, followSale, room, sale, show, spread, text } from "../js/sale.js";
import { t } from "../js/words.js";

const FRIENDS_EVERY_MS = 20_000; // how often the list of who came by the link may be fetched
const MELT_MS = 900;
const RATE_OVER_MS = 10_000;

const money = moneyIn(room.dataset.currency, Number(room.dataset.exponent));
const rate = new Intl.NumberFormat(document.documentElement.lang, {
  minimumFractionDigits: 1, maximumFractionDigits: 1, useGrouping: false,
});
const isCalm = matchMedia("(prefers-reduced-motion: reduce)");
const refreshMine = throttledRefresh(1000);
const refreshFriends = throttledRefresh(FRIENDS_EVERY_MS);
// In the SVG a step's numbers are hundredths of the picture, as the server worked them out.
const steps = [...room.querySelectorAll("[data-step]")].map((step) => ({
  element: step,
  from: Number(step.dataset.from),
  need: Number(step.dataset.need),
  priceMinor: Number(step.dataset.priceMinor),
  x: parseFloat(step.getAttribute("x")),
  y: parseFloat(step.getAttribute("y")),
  width: parseFloat(step.getAttribute("width")),
}));
const form = find("data-buy");
const arrivals = [{ atMs: performance.now(), everybody: everybodyIn(sale.frame) }]; // for the joins per second, the oldest first

function everybodyIn(frame) {
  return frame.joiners + frame.waiting;
}

function takeFrame(frame, before) {
  if (frame.units_left !== null) text("data-units-left", frame.units_left);
  const moreCame = everybodyIn(frame) - everybodyIn(before);
  if (!moreCame && frame.price_minor === before.price_minor) return;
  if (moreCame > 0 && isIn()) refreshFriends();
  arrivals.push({ atMs: performance.now(), everybody: everybodyIn(frame) });
  showCrowd(frame);
  if (frame.price_minor !== before.price_minor) melt(before.price_minor, frame.price_minor);
}

function showCrowd(frame) {
  text("data-joiners", frame.joiners);
  text("data-units", frame.units);
  text("data-waiting", frame.waiting);
  show("data-waiting-box", frame.waiting > 0);
  show("data-next-box", frame.next_count !== null);
  if (frame.next_count !== null) {
    text("data-next", frame.next_missing);
    text("data-next-price", money(frame.next_price_minor));
  }
  const missing = Math.max(frame.minimum - frame.count, 0);
  text("data-missing", missing);
  show("data-missing-box", missing > 0);
  show("data-minimum-box", missing === 0);
  show("data-saved-line", frame.price_minor < steps[0].priceMinor);
  text("data-saved", money(steps[0].priceMinor - frame.price_minor));
  showOwnPrice(frame.level);
  showStanding(frame.level);
  moveMarker(frame.level, frame.count);
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
  const start = level ? steps[level].from : 0;
  return Math.min(Math.max((count - start) / steps[level].need, 0), 1);
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
  glide("price", (share) => {
    price.textContent = money(Math.round(fromMinor + (toMinor - fromMinor) * share));
    price.dataset.digits = price.textContent.length;
  });
  price.classList.remove("melt__moved");
  // The next style pass must see the class gone, or the animation would not start again.
  requestAnimationFrame(() => price.classList.add("melt__moved"));
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

function showRate(phase) {
  show("data-rate-box", phase === "open");
  const nowMs = performance.now();
  while (arrivals.length > 1 && arrivals[1].atMs < nowMs - RATE_OVER_MS) arrivals.shift();
  // Before the window is full, what came in it is all there is to know.
  const cameIn = Math.max(everybodyIn(sale.frame) - arrivals[0].everybody, 0);
  text("data-rate", rate.format(cameIn / (RATE_OVER_MS / 1000)));
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

function showJoined() {
  // The panel says it from now on; the focus must not fall into nothing.
  find("data-join-box").hidden = true;
  find("data-join-words").textContent = t("Your place");
  const heading = document.getElementById("dock-heading");
  heading.tabIndex = -1;
  heading.focus();
  refreshMine();
}

form?.addEventListener("change", showHold);
// What the answer said in its own words, the panel says from now on.
document.addEventListener("refreshed", () => isIn() && find("data-result").replaceChildren());
showHold();
followSale({
  purchase: {
    url: `/api/v1/rallies/${sale.id}/joins`,
    read: (entered) => ({
      quantity: Number(entered.get("quantity")),
      only_at_or_below: Number(entered.get("only_at_or_below")) || null,
      invite: entered.get("invite"),
    }),
    tell: () => ({ title: t("You are in") }),
    onBought: showJoined,
  },
  show: takeFrame,
  words: (frame) => t("{price} each, {joiners} joined.", { price: money(frame.price_minor), joiners: frame.joiners }),
  tick: showRate,
  turn(phase) {
    // The end by the clock, before the scheduler has said so.
    if (phase === "ended") spread(refreshMine);
  },
  refresh: refreshMine,
});
