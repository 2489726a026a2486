// Fetch this page again and take over its parts marked `data-refresh`: what the server says, worked out in one place.

import { offerCopying } from "./copy.js";
import { showTimes } from "./times.js";

/**
 * Replace every `[data-refresh]` (each has an id) by its newest version. What has the focus is left alone.
 *
 * The document gets the event "refreshed" afterwards.
 */
export async function refreshParts() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
  if (!answer.ok || answer.redirected) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-refresh]")) {
    const newer = fresh.getElementById(part.id);
    if (!newer || part.contains(document.activeElement)) continue;
    part.replaceWith(document.adoptNode(newer));
    showTimes(newer);
    offerCopying(newer);
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
