// The page's words: English as it is written here, or as the catalogue has it that pages in other languages load before (core/words.py).

/** `t("Buy for {price}", { price })` */
export function t(text, facts = {}) {
  return fill(globalThis.gettext?.(text) ?? text, facts);
}

/** `tn("{count} is left", "{count} are left", count)` */
export function tn(one, many, count, facts = {}) {
  return fill(globalThis.ngettext?.(one, many, count) ?? (count === 1 ? one : many), { count, ...facts });
}

function fill(text, facts) {
  return text.replace(/\{(\w+)\}/g, (_match, name) => facts[name]);
}
