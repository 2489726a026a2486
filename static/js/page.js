// What every page does beyond its HTML.

import { offerBell } from "./bell.js";
import { offerCopying } from "./copy.js";
import { followSession } from "./session.js";
import { offerSharing } from "./share.js";
import { startSteppers } from "./stepper.js";
import { showTimes } from "./times.js";

followSession();
rememberZone();
showTimes(document);
offerBell();
offerCopying(document);
offerSharing(document);
startSteppers(document);

/** The next pages come in the zone of the clocks here, unless the account names one. */
function rememberZone() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (document.documentElement.dataset.zone || document.cookie.includes(`zone=${zone}`)) return;
  document.cookie = `zone=${zone}; path=/; max-age=31536000; samesite=lax`;
}

// A menu closes when one presses beside it, or Escape.
document.addEventListener("click", ({ target }) => {
  for (const menu of document.querySelectorAll("details[data-menu][open]")) if (!menu.contains(target)) menu.open = false;
});
document.addEventListener("keydown", ({ key }) => {
  const menu = key === "Escape" && document.querySelector("details[data-menu][open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

// Usual answers that fill a field in.
for (const chips of document.querySelectorAll("[data-fill]")) {
  chips.hidden = false;
  chips.addEventListener("click", ({ target }) => {
    if (target.value) document.getElementById(chips.dataset.fill).value = target.value;
  });
}

for (const button of document.querySelectorAll("button[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}

// A form that is under way is not sent again by a second press. The button keeps its focus and comes back with the page.
document.addEventListener("submit", (event) => {
  if (event.defaultPrevented || event.target.method !== "post") return;
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "yes";
  event.submitter?.setAttribute("aria-busy", "true");
});
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  for (const button of document.querySelectorAll("[aria-busy=true]")) button.removeAttribute("aria-busy");
});

// Where a form was refused, the first mistake is where one goes on.
document.querySelector("[aria-invalid=true]:not([type=hidden])")?.focus();
