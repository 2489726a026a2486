// A proof that is being checked: the page takes over the answers when they are there.

import { refreshParts } from "./refresh.js";

const LOOK_EVERY_MS = 3000;

function lookWhileChecked() {
  if (!document.querySelector("[data-being-checked]")) return;
  setTimeout(async () => {
    // The network may be away; the next look asks again.
    await refreshParts().catch(() => {});
    lookWhileChecked();
  }, LOOK_EVERY_MS);
}

lookWhileChecked();
