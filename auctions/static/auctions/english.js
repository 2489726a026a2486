// An auction's room: the high bid rolls, whoever leads knows it at once, and the last minutes are a bar that late bids fill again.

import { serverNowMs } from "../js/clock.js";
import { showFigure } from "../js/figure.js";
import { moneyIn } from "../js/money.js";
import { throttledRefresh } from "../js/refresh.js";
import { find, followSale, pulse, room, sale, show, spread, text } from "../js/sale.js";
import { t, tn } from "../js/words.js";

const ASK_AGAIN_FROM = 10; // times the next bid, as on the server

const exponent = Number(room.dataset.exponent);
const money = moneyIn(room.dataset.currency, exponent);
const refreshMine = throttledRefresh(1000);
const form = find("data-buy");
const premiumBps = Number(form?.dataset.premiumBps ?? 0);
// From a price on, the next bid is so much more: `from:step,from:step`, minor units.
const steps = (form?.dataset.steps ?? "").split(",").map((row) => row.split(":").map(Number));
let isBuyingNow = false; // what was sent last

const mine = () => document.getElementById("mine").dataset;
const leads = () => sale.frame.leader !== null && sale.frame.leader === mine().me;

function showLot(frame, before) {
  if (frame.bids === before.bids && frame.ends_at === before.ends_at) return;
  const price = money(frame.price_minor);
  showFigure(find("data-price"), frame.price_minor, price);
  text("data-bids", tn("{count} bid", "{count} bids", frame.bids));
  text("data-leads", leads() ? t("you lead") : t("{fan} leads", { fan: frame.leader }));
  for (const part of room.querySelectorAll("[data-some-bids]")) part.hidden = frame.bids === 0;
  for (const part of room.querySelectorAll("[data-no-bids]")) part.hidden = frame.bids > 0;
  show("data-reserve-met", frame.reserve === "met");
  show("data-reserve-not-met", frame.reserve === "not_met");
  show("data-extended", frame.extensions > 0);
  if (frame.bids > before.bids) pulse(price);
  if (frame.extensions > before.extensions) pulse(t("The end has moved"));
  showStanding();
  showNext();
  // Who has just lost the lead has money back, and sees so; all others fetch the log, each at its own moment.
  if (before.leader === mine().me && !leads()) {
    find("data-result")?.replaceChildren();
    refreshMine();
  } else spread(refreshMine);
}

/** Leading or outbid: told by the frame itself, before anything is fetched. */
function showStanding() {
  if (!mine().myMaxMinor) return;
  show("data-leading", leads());
  show("data-outbid", !leads());
}

/** The least that one's maximum has to be now. */
function maxFrom() {
  return leads() ? Number(mine().myMaxMinor) + 1 : sale.frame.min_next_minor;
}

/** The next bid in one tap, and what the field asks for. */
function showNext() {
  if (!form) return;
  const { min_next_minor: next, buy_now_minor: buyNow } = sale.frame;
  show("data-bid-next", !leads());
  offerNext(next);
  form.querySelector("[data-bid-max]").classList.toggle("button--main", leads());
  show("data-may-set", !leads());
  show("data-may-raise", leads());
  form.elements.max.placeholder = t("from {price}", { price: money(maxFrom()) });
  show("data-buy-now", buyNow !== null);
  if (buyNow !== null) text("data-buy-now", t("Buy now for {price}", { price: money(buyNow) }));
  showTyped();
}

function offerNext(minor) {
  find("data-bid-next").value = minor;
  text("data-bid-next", t("Bid {price}", { price: money(minor) }));
}

/** What a maximum would come to, and whether the next lower one would still be enough. */
function showTyped() {
  const typed = minorOf(form.elements.max.value);
  form.querySelector("[data-max-by='-1']").disabled = (typed ?? 0) <= maxFrom();
  if (!premiumBps) return;
  const price = typed ?? maxFrom();
  const total = price + Math.floor((price * premiumBps) / 10_000);
  text("data-costs", t("With the premium, {price} comes to {total}.", { price: money(price), total: money(total) }));
}

function stepAt(minor) {
  return (steps.findLast(([from]) => from <= minor) ?? steps[0])[1];
}

/** One bid step up or down; the first press is the least there is. */
function stepMax(by) {
  const typed = minorOf(form.elements.max.value);
  const least = maxFrom();
  let minor = least;
  if (typed !== null && typed >= least) minor = by > 0 ? typed + stepAt(typed) : typed - stepAt(typed - 1);
  form.elements.max.value = typedAmount(Math.max(minor, least));
  form.elements.max.dispatchEvent(new Event("input", { bubbles: true }));
}

function showTimeLeft(phase) {
  const lot = find("data-lot");
  const windowMs = Number(lot.dataset.windowS) * 1000;
  const leftMs = sale.endsAtMs - serverNowMs();
  const isClosing = phase === "open" && leftMs <= windowMs;
  lot.classList.toggle("lot--closing", isClosing);
  const bar = find("data-time-bar");
  bar.hidden = !isClosing;
  if (isClosing) bar.value = Math.max(0, Math.min(1, leftMs / windowMs));
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
  if (submitter?.name) return true; // the next bid, or buying now
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

function bidOf(entered, submitter) {
  isBuyingNow = submitter?.name === "buy_now";
  if (isBuyingNow) return { buy_now: true };
  return { max: submitter?.name === "next_minor" ? Number(submitter.value) : minorOf(entered.get("max")) };
}

function wordsFor(bid) {
  const price = money(bid.price.minor);
  if (isBuyingNow) return { title: t("It is yours"), detail: t("Bought at {price}.", { price }) };
  if (bid.is_leading) {
    return { shownAs: "leading", title: t("You lead"), detail: t("At {price}, with a maximum of {most}.", { price, most: money(bid.your_max.minor) }) };
  }
  return { shownAs: "outbid", title: t("You were outbid at once"), detail: t("Somebody's maximum is as high or higher. It is at {price} now.", { price }) };
}

if (form) {
  form.addEventListener("submit", (event) => {
    if (checkTyped(event.submitter)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  });
  // What was wrong with the last press says nothing of this one: left standing, the browser would not even send "submit" again.
  form.addEventListener("click", () => form.elements.max.setCustomValidity(""));
  form.elements.max.addEventListener("input", () => {
    form.elements.max.setCustomValidity("");
    showTyped();
  });
  for (const button of form.querySelectorAll("[data-max-by]")) {
    button.hidden = false;
    button.addEventListener("click", () => stepMax(Number(button.dataset.maxBy)));
  }
}
document.addEventListener("refreshed", () => {
  // How one stands, or that one has it, is said above it now; a refusal stays to be read.
  const said = find("data-result");
  if (said?.querySelector(".standing") || document.querySelector("#mine .won")) said?.replaceChildren();
  showStanding();
  showNext();
});
showNext();

followSale({
  purchase: {
    url: `/api/v1/auctions/${sale.id}/bids`,
    read: bidOf,
    tell: wordsFor,
    onBought() {
      form.elements.max.value = "";
      refreshMine();
    },
    // The price has moved meanwhile, perhaps before its frame is here: the button for the next bid is right at once.
    instead: ({ code, data }) => {
      if (code === "bid_too_low") offerNext(data.min_next_minor);
      return null;
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
