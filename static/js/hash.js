// Work a text's SHA-256 out on the reader's own machine, and say whether it is the one that was promised.

import { t } from "./words.js";

for (const button of document.querySelectorAll("button[data-hash-of]")) {
  if (!crypto.subtle) continue; // on plain http browsers have none
  button.hidden = false;
  button.addEventListener("click", async () => {
    const text = document.querySelector(button.dataset.hashOf).textContent;
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
    const found = [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    const says = document.querySelector(button.dataset.hashSays);
    const isSame = found === button.dataset.hash;
    says.className = `notice ${isSame ? "notice--good" : "notice--bad"}`;
    says.textContent = isSame
      ? t("Worked out in this browser: {found}. It is the same.", { found })
      : t("Worked out in this browser: {found}. It is another one.", { found });
  });
}
