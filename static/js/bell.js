// The bell opens the newest news where one is. Without a script it leads to their page.

import { showTimes } from "./times.js";

/** For a bell that is there now, and for the ones that replace it. */
export function offerBell() {
  document.addEventListener("click", async (event) => {
    const bell = event.target.closest?.("[data-bell]");
    const list = document.querySelector("[data-bell-list]");
    if (!bell || event.target.closest("[data-bell-list]")) {
      if (list && !list.contains(event.target)) close(list);
      return;
    }
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    if (list) close(list);
    else await open(bell, bell.querySelector("a"));
  });
  document.addEventListener("keydown", ({ key }) => {
    const list = key === "Escape" && document.querySelector("[data-bell-list]");
    if (!list) return;
    const link = list.parentElement.querySelector("a");
    close(list);
    link.focus();
  });
}

async function open(bell, link) {
  const answer = await fetch(bell.dataset.bell, { headers: { Accept: "text/html" } }).catch(() => null);
  if (!answer?.ok || answer.redirected) {
    location.assign(link.href);
    return;
  }
  const list = document.createElement("div");
  list.className = "menu__list bell";
  list.dataset.bellList = "";
  list.append(...new DOMParser().parseFromString(await answer.text(), "text/html").body.children);
  bell.append(list);
  link.setAttribute("aria-expanded", "true");
  bell.querySelector(".masthead__count")?.remove(); // they are read now
  showTimes(list);
  list.querySelector("a")?.focus();
}

function close(list) {
  list.parentElement.querySelector("a").removeAttribute("aria-expanded");
  list.remove();
}
