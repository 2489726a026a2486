// Times for the reader: moments in the reader's own zone, countdowns that tick.

import { serverNowMs } from "./clock.js";

const DAY_S = 86_400;
// With the zone's name: a receipt is read elsewhere, and later.
const { lang, dataset } = document.documentElement;
const moment = new Intl.DateTimeFormat(lang, {
  timeZone: dataset.zone, year: "numeric", month: "short", day: "numeric", hour: "numeric", minute: "2-digit", timeZoneName: "short",
});

/** Show the moments and start the countdowns below `root`. Safe to call again for a part that was fetched anew. */
export function showTimes(root) {
  for (const time of root.querySelectorAll("time[data-moment]")) {
    const at = new Date(time.dateTime);
    time.title = at.toISOString().replace("T", " ").replace(/\.\d+Z$/, " UTC");
    time.textContent = moment.format(at);
  }
  for (const select of root.querySelectorAll("select[data-zone]")) chooseZone(select);
  tick();
}

function tick() {
  const nowMs = serverNowMs();
  for (const time of document.querySelectorAll("time[data-countdown]")) {
    const text = clockText(Math.max(0, Math.ceil((Date.parse(time.dateTime) - nowMs) / 1000)));
    if (time.textContent !== text) time.textContent = text;
    if (time.parentElement.matches(".figure")) time.parentElement.dataset.digits = Math.min(text.length, 12);
  }
  for (const ring of document.querySelectorAll("[data-ring-until]")) {
    const share = (Date.parse(ring.dataset.ringUntil) - nowMs) / 1000 / Number(ring.dataset.ringOf);
    ring.querySelector(".ring__left").style.strokeDashoffset = 100 * (1 - Math.min(Math.max(share, 0), 1));
  }
}

/** Whole seconds as a clock: 4:07, 1:04:07, 2 d 01:04:07. */
export function clockText(seconds) {
  const days = Math.floor(seconds / DAY_S);
  const [hours, minutes, rest] = [Math.floor((seconds % DAY_S) / 3600), Math.floor((seconds % 3600) / 60), seconds % 60];
  const two = (number) => String(number).padStart(2, "0");
  if (days) return `${days} d ${two(hours)}:${two(minutes)}:${two(rest)}`;
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** On a fresh form times are typed by the clocks where the reader is. */
function chooseZone(select) {
  const isChosen = [...select.form.querySelectorAll("[type=datetime-local]")].some((field) => field.value);
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!isChosen && select.value === "UTC" && [...select.options].some((option) => option.value === here)) select.value = here;
}

setInterval(tick, 250);
