// A drop's room: the stock falls, and holds end.

import { serverNowMs } from "../js/clock.js";
import { throttledRefresh } from "../js/refresh.js";
import { find, followSale, sale } from "../js/sale.js";

const HOLD_GRACE_MS = 2_000; // an ended hold is given back within this
const LOW_SHARE = 0.1;

const refreshOrders = throttledRefresh(1000);
const refreshEndedHolds = throttledRefresh(10_000);

function showStock(frame, before) {
  if (frame.units_left === before.units_left) return;
  const count = find("data-count");
  count.textContent = String(frame.units_left);
  find("data-stock-bar").value = frame.units_left;
  count.classList.remove("stock__count--moved");
  // The next style pass must see the class gone, or the animation would not start again.
  requestAnimationFrame(() => count.classList.add("stock__count--moved"));
}

function showScarcity(phase) {
  const { units_left: left, units_total: total } = sale.frame;
  const stock = find("data-stock").classList;
  stock.toggle("stock--none", left === 0);
  stock.toggle("stock--low", phase === "open" && left <= total * LOW_SHARE);
}

function lookForEndedHolds() {
  const nowMs = serverNowMs();
  const holds = [...document.querySelectorAll("#my-orders time[data-countdown]")];
  if (holds.some((hold) => Date.parse(hold.dateTime) + HOLD_GRACE_MS < nowMs)) refreshEndedHolds();
}

followSale({
  purchase: {
    url: `/api/v1/drops/${sale.id}/orders`,
    read: (form, submitter) => ({ quantity: Number(form.get("quantity")), hold: submitter?.name === "hold" }),
    tell: (order) => ({
      title: order.is_hold ? `${order.quantity} on hold for you` : order.quantity === 1 ? "It is yours" : `${order.quantity} are yours`,
      link: { url: `${find("data-buy").dataset.ordersUrl}${order.id}/`, words: "See the receipt" },
    }),
    onBought: refreshOrders,
  },
  show: showStock,
  words: (frame) => `${frame.units_left} of ${frame.units_total} left.`,
  tick: showScarcity,
  refresh() {
    if (!document.getElementById("my-orders").hidden) refreshOrders();
  },
});
setInterval(lookForEndedHolds, 1000);
