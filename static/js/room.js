// A drop's room: follows the sale live. Buying is in buy.js.

import { startBuying } from "./buy.js";
import { goBy, serverNowMs } from "./clock.js";
import { serverClock, watchSale } from "./live.js";
import { phaseOf } from "./phase.js";
import { throttledRefresh } from "./refresh.js";

const SAY_EVERY_MS = 10_000;
const SPREAD_MS = 5_000; // what every viewer does after the same frame is spread over this
const HOLD_GRACE_MS = 2_000; // an ended hold is given back within this
const LOW_SHARE = 0.1;
const WORDS = { upcoming: "Upcoming", open: "Live", sold_out: "Sold out", ended: "Closed", settled: "Settled", cancelled: "Called off" };

const room = document.querySelector("[data-room]");
const find = (name) => room.querySelector(`[${name}]`);
const refreshOrders = throttledRefresh(1000);
const refreshEndedHolds = throttledRefresh(10_000);

const sale = {
  id: room.dataset.room,
  state: room.dataset.state,
  opensAtMs: Date.parse(room.dataset.opensAt),
  closesAtMs: Date.parse(room.dataset.closesAt),
  unitsLeft: Number(room.dataset.unitsLeft),
  unitsTotal: Number(room.dataset.unitsTotal),
  version: Number(room.dataset.version),
};
let shownPhase = null;
let saidAtMs = -Infinity;
let sayTimer = null;

const buying = startBuying(sale.id, find("data-buy"), find("data-result"), {
  url: `/api/v1/drops/${sale.id}/orders`,
  read: (form, submitter) => ({ quantity: Number(form.get("quantity")), hold: submitter?.name === "hold" }),
  tell: (order) => ({
    title: order.is_hold ? `${order.quantity} on hold for you` : order.quantity === 1 ? "It is yours" : `${order.quantity} are yours`,
    link: { url: `${find("data-buy").dataset.ordersUrl}${order.id}/`, words: "See the receipt" },
  }),
  onBought: refreshOrders,
});

function takeFrame(frame) {
  if (frame.version < sale.version) return;
  const stateMoved = frame.state !== sale.state;
  sale.version = frame.version;
  sale.state = frame.state;
  sale.opensAtMs = Date.parse(frame.opens_at);
  sale.closesAtMs = Date.parse(frame.closes_at);
  if (frame.units_left !== sale.unitsLeft) showStock(frame.units_left);
  showPhase();
  // What became of the fan's own orders: passed on, refunded. Nothing becomes of them when a sale goes live.
  if (stateMoved && sale.state !== "live" && hasOrders()) setTimeout(refreshOrders, Math.random() * SPREAD_MS);
}

function showStock(unitsLeft) {
  sale.unitsLeft = unitsLeft;
  const count = find("data-count");
  count.textContent = String(unitsLeft);
  find("data-stock-bar").value = unitsLeft;
  count.classList.remove("stock__count--moved");
  // The next style pass must see the class gone, or the animation would not start again.
  requestAnimationFrame(() => count.classList.add("stock__count--moved"));
  saySoon();
}

function showPhase() {
  const phase = phaseOf(sale, serverNowMs());
  const stock = find("data-stock").classList;
  stock.toggle("stock--none", sale.unitsLeft === 0);
  stock.toggle("stock--low", phase === "open" && sale.unitsLeft > 0 && sale.unitsLeft <= sale.unitsTotal * LOW_SHARE);
  if (phase === shownPhase) return;
  for (const part of room.querySelectorAll("[data-phases]")) {
    part.hidden = !part.dataset.phases.split(" ").includes(phase);
  }
  const badge = find("data-phase-badge");
  badge.textContent = WORDS[phase];
  badge.className = `badge badge--${phase}`;
  buying.setOpen(phase === "open");
  if (shownPhase !== null) saySoon({ atOnce: true });
  shownPhase = phase;
}

function hasOrders() {
  return !document.getElementById("my-orders").hidden;
}

function lookForEndedHolds() {
  const nowMs = serverNowMs();
  const holds = [...document.querySelectorAll("#my-orders time[data-countdown]")];
  if (holds.some((hold) => Date.parse(hold.dateTime) + HOLD_GRACE_MS < nowMs)) refreshEndedHolds();
}

// Read aloud at most now and then: a number that ticks ten times a second would drown everything else.
function saySoon({ atOnce = false } = {}) {
  if (sayTimer !== null && !atOnce) return;
  clearTimeout(sayTimer);
  const waitMs = atOnce ? 0 : Math.max(0, saidAtMs + SAY_EVERY_MS - performance.now());
  sayTimer = setTimeout(() => {
    sayTimer = null;
    saidAtMs = performance.now();
    find("data-stock-status").textContent = `${WORDS[shownPhase]}. ${sale.unitsLeft} of ${sale.unitsTotal} left.`;
  }, waitMs);
}

function showConnection(state) {
  find("data-connection").textContent = state === "connected" ? "" : "Not connected; trying again. Numbers may be old.";
}

showPhase();
setInterval(showPhase, 250);
setInterval(lookForEndedHolds, 1000);
goBy(serverClock(`/api/v1/sales/${sale.id}/frame`));
watchSale(sale.id, takeFrame, { onState: showConnection });
