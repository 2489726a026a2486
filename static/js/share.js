// Buttons that hand a link to whatever the device shares with, or copy it where there is nothing like that.

import { t } from "./words.js";

/** Show the buttons below `root`; where neither works they stay hidden. */
export function offerSharing(root) {
  if (!navigator.share && !navigator.clipboard) return;
  for (const button of root.querySelectorAll("button[data-share]")) button.hidden = false;
}

document.addEventListener("click", ({ target }) => {
  const button = target.closest?.("button[data-share]");
  if (button) share(button);
});

async function share(button) {
  const { share: url, shareTitle: title } = button.dataset;
  if (navigator.share) {
    await navigator.share({ url, title }).catch(() => {}); // dismissed
    return;
  }
  await navigator.clipboard.writeText(url);
  const words = button.lastChild.textContent;
  const copied = t("Link copied");
  button.lastChild.textContent = ` ${copied}`;
  setTimeout(() => (button.lastChild.textContent = words), 1500);
}
