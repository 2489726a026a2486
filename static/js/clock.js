// The server's clock as this page knows it: reckoned from the moment the page was rendered, until somebody has measured it.

const renderedAtMs = Date.parse(document.documentElement.dataset.now);
const navigation = performance.getEntriesByType("navigation")[0];
const receivedAtMs = Date.now() - performance.now() + (navigation ? navigation.responseStart : 0);
const offsetMs = Number.isNaN(renderedAtMs) ? 0 : renderedAtMs - receivedAtMs;

let measured = null;

export function serverNowMs() {
  return measured ? measured.now() : Date.now() + offsetMs;
}

/** From its first reading on, go by `clock` (`serverClock` of live.js). */
export async function goBy(clock) {
  await clock.ready;
  measured = clock;
}
