// Times for the reader: moments in the reader's own zone, countdowns that tick.

import { serverNowMs } from "./clock.js";

const DAY_S = 86_400;
// With the zone's name: a receipt is read elsewhere, and later.
const moment = new Intl.DateTimeFormat(undefined, {
  year: "numeric", month: "short", day: "numeric", hour: "numeric", minute: "2-digit", timeZoneName: "short",
});

/** Show the moments and start the countdowns below `root`. Safe to call again for a part that was fetched anew. */
export function showTimes(root) {
  for (const time of root.querySelectorAll("time[data-moment]")) {
    const at = new Date(time.dateTime);
    time.title = at.toISOString().replace("T", " ").replace(/\.\d+Z$/, " UTC");
    time.textContent = moment.format(at);
  }
  for (const field of root.querySelectorAll("input[data-utc]")) explainUtc(field);
  tick();
}

function tick() {
  const nowMs = serverNowMs();
  for (const time of document.querySelectorAll("time[data-countdown]")) {
    const text = clockText(Math.max(0, Math.ceil((Date.parse(time.dateTime) - nowMs) / 1000)));
    if (time.textContent !== text) time.textContent = text;
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

/** Say below a field that takes UTC what it means where the reader is. */
function explainUtc(field) {
  if (new Date().getTimezoneOffset() === 0 || field.dataset.explained) return;
  field.dataset.explained = "yes";
  const note = document.createElement("output");
  note.className = "field__help";
  field.after(note);
  const say = () => {
    note.textContent = field.value ? `${moment.format(new Date(`${field.value}Z`))} where you are` : "";
  };
  field.addEventListener("input", say);
  say();
}

setInterval(tick, 250);
