// Buying. One purchase is one key: made when the button is pressed, kept over every retry, given up only with a final answer.
// So however often a request is sent, and whatever happened to its answers, it makes one order.

import { onOtherUser, signedOut } from "./session.js";
import { answerOf } from "./answers.js";
import { t } from "./words.js";

const TRIES_MAX = 8;
const REFRESH_BEFORE_MS = 60_000;

/**
 * Wire the form up. `setOpen` of what it returns says whether buying is possible now.
 *
 * `purchase` is what differs between the kinds of sales: `url` to post to, `read(form, submitter)` for the request's body,
 * `tell(outcome)` for a success in words, with a link and, where it is none to celebrate, the template it is `shownAs`; and
 * `onBought`, called after each.
 */
export function startBuying(saleId, form, result, purchase) {
  if (!form) return { setOpen() {} };
  const page = new ResultBox(result);
  const token = new BuyToken(saleId, form);
  const buttons = [...form.querySelectorAll("[data-buy-button]")];
  let isOpen = false;
  let isBusy = false;
  let isOver = false; // whoever this page was made for is not who is logged in now

  const showButtons = () => {
    for (const button of buttons) {
      button.disabled = isOver || (!isOpen && !isBusy);
      // Not disabled while busy: a disabled button loses the focus.
      button.setAttribute("aria-disabled", String(isBusy));
      button.setAttribute("aria-busy", String(isBusy));
    }
  };

  onOtherUser(() => {
    isOver = true;
    token.drop();
    showButtons();
    page.refused({ message: t("You are not logged in here any more") }, LOGIN);
  });

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (isBusy || isOver) return;
    isBusy = true;
    showButtons();
    try {
      await buy(saleId, purchase, purchase.read(new FormData(form), event.submitter), token, page, form);
    } finally {
      isBusy = false;
      showButtons();
    }
  });

  return {
    setOpen(open) {
      isOpen = open;
      showButtons();
    },
  };
}

async function buy(saleId, purchase, wanted, token, page, form) {
  const attempt = currentAttempt(saleId, wanted);
  page.working(t("One moment…"), "");
  for (let number = 1; number <= TRIES_MAX; number++) {
    const answer = await send(purchase.url, attempt, token);
    if (answer.outcome) {
      endAttempt(saleId);
      page.bought(purchase.tell(answer.outcome));
      navigator.vibrate?.(30);
      purchase.onBought();
      return;
    }
    if (answer.refusal) {
      endAttempt(saleId);
      page.refused(answer.refusal, answer.link || linkFor(answer.refusal, form), purchase.instead?.(answer.refusal));
      return;
    }
    if (answer.isOffline) page.working(t("You are offline"), t("We send it when you are back. It counts once."));
    else page.working(t("Waiting for an answer"), t("We keep asking for you. It still counts once."));
    await pause(answer.waitMs * (0.75 + Math.random() / 2));
  }
  // The attempt is kept: pressing again asks about the same purchase.
  page.refused({ message: t("We could not get an answer"), detail: t("Press the button again: it is the same request, and counts once.") });
}

/** One request. `{outcome}`, `{refusal, link}`, or `{waitMs, isOffline}` when it should be sent again. */
async function send(url, attempt, token) {
  let answer;
  try {
    const headers = { "X-Buy-Token": await token.fresh(), "Idempotency-Key": attempt.key };
    answer = await answerOf(url, { headers, body: attempt.wanted });
  } catch (error) {
    if (error instanceof LoggedOut) return { refusal: { message: t("Please log in again") }, link: LOGIN };
    return { waitMs: 1000, isOffline: !navigator.onLine };
  }
  if (answer.made) return UUID.test(answer.made.id) ? { outcome: answer.made } : { waitMs: 1000 };
  if (answer.refusal?.status === 401) {
    token.drop();
    return { waitMs: 100 };
  }
  return answer;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

class LoggedOut extends Error {}

/** The short-lived permission to buy: the page brings the first, later ones are fetched with the session. */
class BuyToken {
  constructor(saleId, form) {
    this.saleId = saleId;
    this.csrf = form.elements.csrfmiddlewaretoken.value;
    this.text = form.dataset.buyToken;
    this.expiresAtMs = Date.parse(form.dataset.tokenExpiresAt);
    this.form = form;
    this.#keepFresh();
  }

  /** Renew it ahead of time, each page at its own moment: at the opening everybody's first request must be the order. */
  #keepFresh() {
    const leftMs = Math.max(REFRESH_BEFORE_MS, this.expiresAtMs - Date.now());
    setTimeout(async () => {
      // Without a form to send there is nothing to permit; a failure leaves it to the next purchase.
      if (!this.form.hidden) await this.fetch().catch(() => {});
      this.#keepFresh();
    }, leftMs * (0.4 + Math.random() * 0.4));
  }

  async fresh() {
    if (!this.text || Date.now() > this.expiresAtMs - REFRESH_BEFORE_MS) await this.fetch();
    return this.text;
  }

  drop() {
    this.text = "";
  }

  async fetch() {
    const answer = await answerOf(`/api/v1/sales/${this.saleId}/buy-token`, { headers: { "X-CSRFToken": this.csrf }, body: {} });
    if ([401, 403].includes(answer.refusal?.status)) {
      signedOut();
      throw new LoggedOut();
    }
    if (!answer.made?.buy_token) throw new Error("no buy token");
    this.text = answer.made.buy_token;
    this.expiresAtMs = Date.parse(answer.made.expires_at);
  }
}

// An attempt without a final answer outlives a reload of the page, so that trying again cannot buy twice.

function currentAttempt(saleId, wanted) {
  const kept = JSON.parse(sessionStorage.getItem(`attempt:${saleId}`) || "null");
  if (kept && JSON.stringify(kept.wanted) === JSON.stringify(wanted)) return kept;
  const attempt = { wanted, key: newKey() };
  sessionStorage.setItem(`attempt:${saleId}`, JSON.stringify(attempt));
  return attempt;
}

function endAttempt(saleId) {
  sessionStorage.removeItem(`attempt:${saleId}`);
}

function newKey() {
  if (crypto.randomUUID) return crypto.randomUUID();
  // On plain http, other than on this machine, browsers leave randomUUID out.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
}

const HERE = location.pathname + location.search; // an invite link must not get lost on the way
const LOGIN = { url: `/accounts/login/?next=${encodeURIComponent(HERE)}`, words: t("Log in") };

/** What helps against a refusal, if something does. */
function linkFor(refusal, form) {
  if (refusal.code === "not_verified") return { url: "/accounts/email/", words: t("Confirm your e-mail address") };
  // No address: this currency cannot be paid in.
  if (refusal.code !== "insufficient_funds" || !form.dataset.topUpUrl) return null;
  const { needed_minor: needed, available_minor: available, currency } = refusal.data;
  const { topUpUrl, topUpMin, topUpMax, exponent } = form.dataset;
  const missing = needed - available;
  const amount = amountText(Math.min(Math.max(missing, Number(topUpMin)), Number(topUpMax)), Number(exponent));
  const payments = Math.ceil(missing / Number(topUpMax));
  return {
    url: `${topUpUrl}?${new URLSearchParams({ amount, currency, next: HERE })}`,
    words: payments > 1 ? t("Add the missing money in {payments} payments", { payments }) : t("Add the missing money"),
  };
}

// The page says how many digits: the browser knows none for play money, and need not agree about the others.
function amountText(minor, exponent) {
  return (minor / 10 ** exponent).toFixed(exponent);
}

/** The place below the price that says how it went, made from the page's templates. */
class ResultBox {
  constructor(box) {
    this.box = box;
  }

  working(title, detail) {
    this.#show("working", { title, detail });
  }

  /** Its link takes the focus: the button that was pressed may be gone in a moment. */
  bought({ title, detail = "", link, shownAs = "bought" }) {
    this.#show(shownAs, { title, detail }, link);
    this.box.querySelector("[data-link]:not([hidden])")?.focus();
  }

  /** What was refused, when the server had it, and what can be done: follow `link`, or do what `instead` says. */
  refused(refusal, link, instead) {
    const { data = {} } = refusal;
    const detail = refusal.detail || (refusal.code === "limit_reached" ? t("You have {units} of {limit_per_fan}.", data) : "");
    const when = refusal.receivedAt ? t("Your request was received at {when}, by the server's clock.", { when: exactTime(refusal.receivedAt) }) : "";
    this.#show("refused", { title: refusal.message, detail, when }, link);
    const button = this.box.querySelector("[data-instead]");
    if (!instead) return;
    button.textContent = instead.words;
    button.hidden = false;
    button.addEventListener("click", instead.act);
  }

  #show(name, texts, link) {
    const notice = document.querySelector(`template[data-template="${name}"]`).content.cloneNode(true);
    for (const part of notice.querySelectorAll("[data-text]")) {
      part.textContent = texts[part.dataset.text] || "";
      part.hidden = !part.textContent;
    }
    const anchor = notice.querySelector("[data-link]");
    if (anchor && link) {
      anchor.href = link.url;
      anchor.textContent = link.words;
      anchor.hidden = false;
    }
    this.box.replaceChildren(notice);
  }
}

function exactTime(moment) {
  const options = { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 };
  return new Intl.DateTimeFormat(document.documentElement.lang, options).format(new Date(moment));
}

function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
