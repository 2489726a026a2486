// Who is logged in, told between the tabs of a browser: what one of them shows of a wallet must not outlive its login in another.

const me = document.documentElement.dataset.user; // "" for nobody; pages of last resort do not say
const listeners = [];
const channel = "BroadcastChannel" in window ? new BroadcastChannel("session") : null;
let isOver = false;

/** Call `act` when this page turns out to be of somebody who is not logged in any more. */
export function onOtherUser(act) {
  listeners.push(act);
  if (isOver) act();
}

/** This page was told so by the server. */
export function signedOut() {
  channel?.postMessage("");
  end();
}

/** Tell the other tabs whose page was just loaded, and hear it from them. */
export function followSession() {
  if (me !== undefined) channel?.postMessage(me);
  channel?.addEventListener("message", ({ data }) => {
    if (data !== me) end();
  });
  // A page that the browser kept, and shows again after "back".
  window.addEventListener("pageshow", (event) => event.persisted && location.reload());
}

function end() {
  if (isOver || !me) return;
  isOver = true;
  const notice = document.querySelector("[data-session-over]");
  if (notice) notice.hidden = false;
  for (const act of listeners) act();
}
