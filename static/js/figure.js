// The large figure of a room: grouped digits, of which those that change roll. Its text is at any moment the newest number.

const grouped = new Intl.NumberFormat(document.documentElement.lang);
const SIZES = 12; // as many as static/css/figure.css knows

/** `text` is what is shown; without it the whole number, grouped. */
export function showFigure(element, number, text = grouped.format(number)) {
  const before = element.textContent.trim();
  if (before === text) return;
  const rises = number > Number(element.dataset.number ?? number);
  element.dataset.number = number;
  element.dataset.digits = Math.min(text.length, SIZES);
  const shift = before.length - text.length; // digits are compared from the right, where the small ones stand
  element.replaceChildren(
    ...[...text].map((character, place) => {
      const digit = document.createElement("span");
      digit.className = rises ? "figure__digit figure__digit--up" : "figure__digit";
      digit.textContent = character;
      const was = before[place + shift];
      if (was !== undefined && was !== character) digit.dataset.was = was;
      return digit;
    }),
  );
}
