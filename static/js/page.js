// What every page does beyond its HTML.

import { offerCopying } from "./copy.js";
import { showTimes } from "./times.js";

showTimes(document);
offerCopying(document);

for (const button of document.querySelectorAll("button[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}
