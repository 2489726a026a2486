// Amounts as the server writes them (`Money` in core/money.py).

const SYMBOLS = { EUR: "€", USD: "$", GBP: "£", JPY: "¥" };

/** A function from whole minor units to text; `exponent` is how many digits stand after the point. */
export function moneyIn(currency, exponent) {
  const digits = new Intl.NumberFormat("en", { minimumFractionDigits: exponent, maximumFractionDigits: exponent });
  return (minor) => {
    const amount = digits.format(minor / 10 ** exponent);
    return SYMBOLS[currency] ? `${SYMBOLS[currency]}${amount}` : `${amount} ${currency}`;
  };
}
