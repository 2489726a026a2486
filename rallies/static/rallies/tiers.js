// The form of a new rally: its staircase is drawn anew while the tiers are typed, and lines come and go without a reload.
// All of it is the server's drawing: the buttons do the same without a script.

const PAUSE_MS = 250;

const form = document.querySelector("[data-tiers-form]");
let timer = null;
let asked = 0;
let lines = Promise.resolve(); // one change of lines after the other, each on what the one before has made

document.querySelector("[data-preview]").hidden = true;
// Where the seller is, so that a repeated rally keeps the time of the day there.

form.addEventListener("input", (event) => {
  if (!/^(tier_|currency)/.test(event.target.name)) return;
  clearTimeout(timer);
  timer = setTimeout(() => redraw("preview", "1", ["picture"]), PAUSE_MS);
});

form.addEventListener("submit", async (event) => {
  const { name, value } = event.submitter ?? {};
  if (name !== "add_tier" && name !== "remove_tier") return;
  event.preventDefault();
  lines = lines.then(() => redraw(name, value, ["tiers", "picture"]));
  await lines;
  const fields = form.querySelectorAll("#tiers input:not([type=hidden])");
  fields[fields.length - (name === "add_tier" ? 2 : 1)].focus();
});

/** Send the form as if that button were pressed, and take over these parts of the answer. */
async function redraw(name, value, ids) {
  asked += 1;
  const number = asked;
  const body = new FormData(form);
  body.set(name, value);
  // The network may be away: what was typed is kept, and the next letter asks again.
  const answer = await fetch(location.href, { method: "POST", body }).catch(() => null);
  const isOld = name === "preview" && number !== asked;
  if (!answer?.ok || isOld) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const id of ids) document.getElementById(id).replaceWith(document.adoptNode(fresh.getElementById(id)));
  document.querySelector("[data-preview]").hidden = true;
}
