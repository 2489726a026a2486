// Where a sale stands, by the server's clock. The same as `phase_of` in sales/presenters.py, and "sold_out" while open.

export function phaseOf(sale, nowMs) {
  if (sale.state === "scheduled" || sale.state === "live") {
    if (nowMs < sale.opensAtMs) return "upcoming";
    if (nowMs >= sale.closesAtMs) return "ended";
    return sale.unitsLeft === 0 ? "sold_out" : "open";
  }
  if (sale.state === "settled" || sale.state === "cancelled" || sale.state === "draft") return sale.state;
  return "ended";
}
