// Fetch this page again and take over its parts marked `data-refresh`: what the server says, worked out in one place.

import { Idiomorph } from "../vendor/idiomorph.js";
import { offerCopying } from "./copy.js";
import { offerSharing } from "./share.js";
import { showTimes } from "./times.js";

/**
 * Turn every `[data-refresh]` (each has an id) into its newest version. What did not change stays: the focus, what was typed,
 * what was folded open.
 *
 * The document gets the event "refreshed" afterwards.
 */
export async function refreshParts() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
  if (!answer.ok || answer.redirected) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-refresh]")) {
    const newer = fresh.getElementById(part.id);
    if (!newer) continue;
    Idiomorph.morph(part, newer, { ignoreActiveValue: true, callbacks: { beforeAttributeUpdated: (name) => name !== "open" } });
    showTimes(part);
    offerCopying(part);
    offerSharing(part);
  }
  document.dispatchEvent(new Event("refreshed"));
}

/** A function that refreshes soon, but at most once in `everyMs` however often it is called; the last call is never lost. */
export function throttledRefresh(everyMs) {
  let timer = null;
  let lastAt = -Infinity;
  return () => {
    if (timer !== null) return;
    timer = setTimeout(async () => {
      timer = null;
      lastAt = performance.now();
      // The network may be away; the next frame asks again.
      await refreshParts().catch(() => {});
    }, Math.max(0, lastAt + everyMs - performance.now()));
  };
}
