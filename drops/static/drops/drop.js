// A drop's room: the stock falls, holds run out, and one can buy as many as are left and as one may.

import { serverNowMs } from "../js/clock.js";
import { showFigure } from "../js/figure.js";
import { moneyIn } from "../js/money.js";
import { throttledRefresh } from "../js/refresh.js";
import { find, followSale, pulse, room, sale } from "../js/sale.js";
import { capStepper } from "../js/stepper.js";
import { t } from "../js/words.js";

const HOLD_GRACE_MS = 2_000; // an ended hold is given back within this
const LOW_SHARE = 0.1;

const money = moneyIn(room.dataset.currency, Number(room.dataset.exponent));
const refreshOrders = throttledRefresh(1000);
const refreshEndedHolds = throttledRefresh(10_000);
const form = find("data-buy");

function showStock(frame, before) {
  if (frame.units_left === before.units_left) return;
  showFigure(find("data-count"), frame.units_left);
  find("data-stock-bar").value = frame.units_left;
  const sold = before.units_left - frame.units_left;
  pulse(sold > 0 ? t("{sold} sold", { sold }) : t("{back} back", { back: -sold }));
  showMost();
}

function showScarcity(phase) {
  const { units_left: left, units_total: total } = sale.frame;
  const stock = find("data-stock").classList;
  stock.toggle("stock--none", left === 0);
  stock.toggle("stock--low", phase === "open" && left <= total * LOW_SHARE);
}

/** How many more the fan may have; null when there is no limit. */
function mayBuy() {
  const { mayBuy } = document.getElementById("mine").dataset;
  return mayBuy === undefined ? null : Number(mayBuy);
}

/** Who has all they may have sees what is theirs, not a button that would refuse them. */
function showMost() {
  const may = mayBuy();
  const box = find("data-buy-box"); // a sale that is over has none
  if (!box) return;
  box.hidden = may === 0;
  const stepper = form?.querySelector("[data-stepper]");
  if (stepper) capStepper(stepper, Math.min(sale.frame.units_left, may ?? Infinity));
  showPrice();
}

function showPrice() {
  if (!form) return;
  const total = Number(form.dataset.priceMinor) * Number(form.elements.quantity.value);
  form.querySelector(".button--main").textContent = t("Buy for {price}", { price: money(total) });
}

function lookForEndedHolds() {
  const nowMs = serverNowMs();
  const holds = [...document.querySelectorAll("#mine [data-ring-until]")];
  if (holds.some((hold) => Date.parse(hold.dataset.ringUntil) + HOLD_GRACE_MS < nowMs)) refreshEndedHolds();
}

function wordsFor(order) {
  if (order.is_hold) return t("{quantity} on hold for you", order);
  return order.quantity === 1 ? t("It is yours") : t("{quantity} are yours", order);
}

form?.addEventListener("input", showPrice);
document.addEventListener("refreshed", () => {
  showMost();
  // A hold's own panel says it from now on, with its time.
  if (document.querySelector("#mine [data-ring-until]")) find("data-result").replaceChildren();
});
showMost();
followSale({
  purchase: {
    url: `/api/v1/drops/${sale.id}/orders`,
    read: (form, submitter) => ({ quantity: Number(form.get("quantity")), hold: submitter?.name === "hold" }),
    tell: (order) => ({
      title: wordsFor(order),
      detail: order.is_hold
        ? t("Confirm it before its time is over.")
        : t("{quantity} × {price}, paid.", { quantity: order.quantity, price: money(order.unit_price.minor) }),
      link: { url: `${form.dataset.ordersUrl}${order.id}/`, words: t("See the receipt") },
    }),
    onBought: refreshOrders,
    // Fewer are left than were asked for: one press takes those.
    instead: ({ code }) => {
      const left = Math.min(sale.frame.units_left, mayBuy() ?? Infinity);
      if (code !== "sold_out" || left < 1) return null;
      return {
        words: left === 1 ? t("Take the last one") : t("Take the {left} that are left", { left }),
        act() {
          form.elements.quantity.value = left;
          form.requestSubmit();
        },
      };
    },
  },
  show: showStock,
  words: (frame) => t("{units_left} of {units_total} left.", frame),
  tick: showScarcity,
  refresh() {
    if (!document.getElementById("my-orders").hidden) refreshOrders();
  },
});
setInterval(lookForEndedHolds, 1000);
