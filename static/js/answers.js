// What our API answered, and nothing else: a proxy's page, a wall against bots or a login elsewhere may come with any status.

import { t } from "./words.js";

const ANSWER_MS = 10_000;

/**
 * Post JSON. `{made}` with what was made (a 200 or 201 of ours), `{refusal}` with its `status`, `code`, `message` and `data`, or
 * `{waitMs}` when there was no answer of ours, or one that says to come again. Throws when the network fails.
 */
export async function answerOf(url, { headers, body }) {
  const answer = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body),
    redirect: "error", // nothing of ours redirects
    signal: AbortSignal.timeout(ANSWER_MS),
  });
  const isJson = (answer.headers.get("Content-Type") || "").startsWith("application/json");
  const said = isJson ? await answer.json().catch(() => null) : null;
  const waitMs = (Number(answer.headers.get("Retry-After")) || 1) * 1000;
  if (said === null || answer.status === 429 || answer.status >= 500) return { waitMs };
  if (answer.status === 200 || answer.status === 201) return { made: said };
  if (typeof said.code !== "string") return { waitMs };
  const { code, detail, data = {} } = said;
  const receivedAt = answer.headers.get("X-Received-At"); // by the server's clock, which is the one that counts
  return { refusal: { status: answer.status, code, message: detail ? t(detail) : t("That was not done"), data, receivedAt } };
}
