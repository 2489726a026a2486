// An auction's room: the high bid rolls, whoever leads knows it at once, and the last minutes are a bar that late bids fill again.

import { serverNowMs } from "../js/clock.js";
import { moneyIn } from "../js/money.js";
import { throttledRefresh } from "../js/refresh.js";
import { find, followSale, pulse, room, sale, show, spread, text } from "../js/sale.js";
import { t } from "../js/words.js";

const LAST_MS = 180_000; // the bar shows so much of the end
const ASK_AGAIN_FROM = 10; // times the next bid, as on the server

const exponent = Number(room.dataset.exponent);
const money = moneyIn(room.dataset.currency, exponent);
const refreshMine = throttledRefresh(1000);
const form = find("data-buy");

const mine = () => document.getElementById("mine").dataset;

function showLot(frame, before) {
  if (frame.bids === before.bids && frame.ends_at === before.ends_at) return;
  const price = money(frame.price_minor);
  text("data-price", price);
  find("data-price").dataset.digits = price.length;
  text("data-bids", frame.bids);
  text("data-leader", frame.leader ?? "");
  for (const part of room.querySelectorAll("[data-some-bids]")) part.hidden = frame.bids === 0;
  for (const part of room.querySelectorAll("[data-no-bids]")) part.hidden = frame.bids > 0;
  show("data-reserve-met", frame.reserve === "met");
  show("data-reserve-not-met", frame.reserve === "not_met");
  show("data-extended", frame.extensions > 0);
  if (frame.price_minor !== before.price_minor) pulse(price);
  if (frame.extensions > before.extensions) pulse(t("The end has moved"));
  showStanding(frame);
  showNext();
  // Who has just lost the lead has money back, and sees so; all others fetch the log, each at its own moment.
  if (before.leader === mine().me && frame.leader !== mine().me) refreshMine();
  else spread(refreshMine);
}

/** Leading or outbid: told by the frame itself, before anything is fetched. */
function showStanding(frame) {
  if (!mine().myMaxMinor) return;
  show("data-leading", frame.leader === mine().me);
  show("data-outbid", frame.leader !== mine().me);
}

/** The next bid in one tap, and what the field asks for. */
function showNext() {
  if (!form) return;
  const { min_next_minor: next, buy_now_minor: buyNow, leader } = sale.frame;
  const button = form.querySelector("[data-bid-next]");
  button.hidden = leader !== null && leader === mine().me;
  button.textContent = t("Bid {price}", { price: money(next) });
  const least = leader !== null && leader === mine().me ? Number(mine().myMaxMinor) + 1 : next;
  form.elements.max.placeholder = money(least);
  text("data-min-next-line", t("At least {price}. You pay only as much of it as the next best bid makes needed.", { price: money(least) }));
  show("data-buy-now", buyNow !== null);
  if (buyNow !== null) text("data-buy-now", t("Buy now for {price}", { price: money(buyNow) }));
}

function showTimeLeft(phase) {
  const leftMs = sale.endsAtMs - serverNowMs();
  const bar = find("data-time-bar");
  bar.hidden = phase !== "open" || leftMs > LAST_MS;
  bar.value = Math.max(0, Math.min(1, leftMs / LAST_MS));
}

/** Minor units of what was typed; null for what is no amount. */
function minorOf(typed) {
  const found = /^([0-9]{1,12})(?:[.,]([0-9]+))?$/.exec(typed.trim());
  if (!found || (found[2] ?? "").length > exponent) return null;
  return Number(found[1]) * 10 ** exponent + Number((found[2] ?? "").padEnd(exponent, "0") || 0);
}

function typedAmount(minor) {
  return (minor / 10 ** exponent).toFixed(exponent);
}

// What the field cannot be sent with is said by the browser, beside it.
function checkTyped(submitter) {
  const field = form.elements.max;
  field.setCustomValidity("");
  if (submitter?.name === "buy_now") return true;
  const minor = minorOf(field.value);
  if (!minor) field.setCustomValidity(t("Please write an amount like 10 or 10.50."));
  else if (minor > ASK_AGAIN_FROM * sale.frame.min_next_minor && form.elements.sure.value !== field.value) {
    form.elements.sure.value = field.value;
    field.setCustomValidity(t("{price} is more than ten times the next bid, and no bid can be taken back. If you mean it, press again.", { price: money(minor) }));
  }
  if (field.checkValidity()) return true;
  field.reportValidity();
  return false;
}

form?.addEventListener("submit", (event) => {
  if (checkTyped(event.submitter)) return;
  event.preventDefault();
  event.stopImmediatePropagation();
});
form?.elements.max.addEventListener("input", () => form.elements.max.setCustomValidity(""));
form?.querySelector("[data-bid-next]").addEventListener("click", () => {
  form.elements.max.value = typedAmount(sale.frame.min_next_minor);
  form.requestSubmit(form.querySelector("[data-bid-max]"));
});
document.addEventListener("refreshed", () => {
  showStanding(sale.frame);
  showNext();
});
showNext();

followSale({
  purchase: {
    url: `/api/v1/auctions/${sale.id}/bids`,
    read: (entered, submitter) =>
      submitter?.name === "buy_now" ? { buy_now: true } : { max: minorOf(entered.get("max")) },
    tell: (bid) =>
      bid.is_leading
        ? { title: t("You lead"), detail: t("At {price}, with a maximum of {most}.", { price: money(bid.price.minor), most: money(bid.your_max.minor) }) }
        : { title: t("You were outbid at once"), detail: t("Somebody's maximum is as high or higher. It is at {price} now.", { price: money(bid.price.minor) }) },
    onBought() {
      form.elements.max.value = "";
      refreshMine();
    },
    // The price has moved meanwhile: one press bids the next one.
    instead: ({ code, data }) => {
      if (code !== "bid_too_low") return null;
      return {
        words: t("Bid {price}", { price: money(data.min_next_minor) }),
        act() {
          form.elements.max.value = typedAmount(data.min_next_minor);
          form.requestSubmit(form.querySelector("[data-bid-max]"));
        },
      };
    },
  },
  show: showLot,
  words: (frame) => t("{price}, {bids} bids.", { price: money(frame.price_minor), bids: frame.bids }),
  tick: showTimeLeft,
  turn(phase) {
    if (phase === "ended") spread(refreshMine);
  },
  refresh: refreshMine,
});
