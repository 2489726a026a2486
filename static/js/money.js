// Amounts as the server writes them (`Money` in core/money.py).

const SYMBOLS = { EUR: "€", USD: "$", GBP: "£", JPY: "¥" };

/** A function from whole minor units to text; `exponent` is how many digits stand after the point. */
export function moneyIn(currency, exponent) {
  const { lang } = document.documentElement;
  const digits = new Intl.NumberFormat(lang, { minimumFractionDigits: exponent, maximumFractionDigits: exponent });
  return (minor) => {
    const amount = digits.format(minor / 10 ** exponent);
    if (lang === "de") return `${amount}\u00a0${SYMBOLS[currency] ?? currency}`;
    return SYMBOLS[currency] ? `${SYMBOLS[currency]}${amount}` : `${amount} ${currency}`;
  };
}
