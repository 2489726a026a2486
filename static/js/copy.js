// Buttons that copy what another element says.

import { t } from "./words.js";

/** Show the buttons below `root`. Safe to call for a part that was fetched anew; without a clipboard they stay hidden. */
export function offerCopying(root) {
  if (!navigator.clipboard) return;
  for (const button of root.querySelectorAll("button[data-copy]")) button.hidden = false;
}

// One listener for all there are and will be: parts that are fetched anew keep their elements.
document.addEventListener("click", async ({ target }) => {
  const button = target.closest?.("button[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(document.querySelector(button.dataset.copy).textContent);
  const words = button.textContent;
  button.textContent = t("Copied");
  setTimeout(() => (button.textContent = words), 1500);
});
