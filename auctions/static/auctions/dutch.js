// A room whose price falls: worked out from the terms and the server's clock, so that no frame is needed for a step.

import { serverNowMs } from "../js/clock.js";
import { showFigure } from "../js/figure.js";
import { moneyIn } from "../js/money.js";
import { throttledRefresh } from "../js/refresh.js";
import { find, followSale, pulse, room, sale, text } from "../js/sale.js";
import { capStepper } from "../js/stepper.js";
import { t } from "../js/words.js";

const money = moneyIn(room.dataset.currency, Number(room.dataset.exponent));
const refreshMine = throttledRefresh(1000);
const form = find("data-buy");
const premiumBps = Number(form?.dataset.premiumBps ?? 0);
const { startMinor, floorMinor, stepMinor, intervalS } = Object.fromEntries(
  Object.entries(find("data-lot").dataset).map(([name, value]) => [name, Number(value)]),
);
const intervalMs = intervalS * 1000;

// The same rule as in auctions/dutch/rules.py: never above the first price, never below the lowest.
function priceAt(ms) {
  const steps = Math.max(0, Math.floor((ms - sale.opensAtMs) / intervalMs));
  return Math.max(floorMinor, startMinor - stepMinor * steps);
}

function showPrice(phase) {
  const nowMs = serverNowMs();
  const minor = priceAt(nowMs);
  showFigure(find("data-price"), minor, money(minor));
  const isAtFloor = minor === floorMinor;
  find("data-at-floor").hidden = !isAtFloor;
  find("data-falls").hidden = isAtFloor;
  const bar = find("data-step-bar");
  bar.hidden = phase !== "open" || isAtFloor;
  bar.value = 1 - Math.max(0, (nowMs - sale.opensAtMs) % intervalMs) / intervalMs;
  if (!form) return;
  form.elements.at_most.value = minor;
  const quantity = Number(form.elements.quantity.value) || 1;
  const total = minor * quantity;
  text("data-claim", quantity === 1 ? t("Claim at {price}", { price: money(minor) }) : t("Claim {quantity} for {price}", { quantity, price: money(total) }));
  if (premiumBps) {
    const whole = total + Math.floor((total * premiumBps) / 10_000);
    text("data-costs", t("With the premium, {price} comes to {total}.", { price: money(total), total: money(whole) }));
  }
}

function showLeft(frame, before) {
  if (frame.units_left === before.units_left) return;
  text("data-left", frame.units_left);
  pulse(t("{count} claimed", { count: before.units_left - frame.units_left }));
  const stepper = form?.querySelector("[data-stepper]");
  if (stepper) capStepper(stepper, frame.units_left);
}

// What one has is said above it from now on; a refusal stays to be read.
document.addEventListener("refreshed", () => {
  const said = find("data-result");
  if (document.querySelector("#mine .standing") && said?.querySelector(".won")) said.replaceChildren();
});

followSale({
  purchase: {
    url: `/api/v1/auctions/${sale.id}/claims`,
    read: (entered) => ({ at_most: Number(entered.get("at_most")), quantity: Number(entered.get("quantity")) }),
    tell: (claim) => ({
      title: t("It is yours"),
      detail: t("{quantity} × {price}.", { quantity: claim.quantity, price: money(claim.unit_price.minor) }),
      link: { url: `${form.dataset.claimsUrl}${claim.id}/`, words: t("See the receipt") },
    }),
    onBought: refreshMine,
  },
  show: showLeft,
  words: (frame) => t("{price}, {units_left} left.", { price: money(priceAt(serverNowMs())), units_left: frame.units_left }),
  tick: showPrice,
  turn: refreshMine,
  refresh: refreshMine,
});
