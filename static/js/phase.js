// Where a sale stands, by the server's clock. States, words and badges are the page's: `sales/phases.py`, which reckons the same.

const table = JSON.parse(document.getElementById("phases").textContent);

/** `sale` has `state`, `opensAtMs`, `endsAtMs`, and `unitsLeft`, which may be null. */
export function phaseOf(sale, nowMs) {
  if (sale.state in table.states) return table.states[sale.state];
  if (nowMs < sale.opensAtMs) return "upcoming";
  if (nowMs >= sale.endsAtMs) return "ended";
  return sale.unitsLeft === 0 ? "sold_out" : "open";
}

export function wordOf(phase) {
  return table.words[phase];
}

/** Show what is for this phase, hide what is for others, and say it on the badge. */
export function showPhase(root, phase) {
  root.dataset.phase = phase;
  for (const part of root.querySelectorAll("[data-phases]")) {
    part.hidden = !part.dataset.phases.split(" ").includes(phase);
  }
  const badge = root.querySelector("[data-phase-badge]");
  badge.textContent = table.words[phase];
  badge.className = table.badges[phase];
}
