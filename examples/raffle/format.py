from hashlib import sha256

from django.db import connection

from core.invariants import GOODS, MONEY, Check
from core.money import share_bps
from examples.raffle.models import Entry, Raffle
from ledger.forms import AmountField, MoneyForm
from sales.drafting import drafts
from sales.formats import BasePresenter, Count, Format, Words
from sales.forms import SaleForm, WholeNumberField
from sales.invariants import COMMON, terms_rule
from sales.plain import PlainLane, PlainRules, charge, plain_place
from sales.proceeds import paid_in, pass_on, sellers_lines

DRAWN = """SELECT entry.*, prizes, row_number() OVER (ORDER BY sha256(convert_to(seed::text || fan_id, 'UTF8'))) AS place
  FROM raffle_entry AS entry JOIN raffle_raffle USING (sale_id) WHERE sale_id = %(sale_id)s"""
DRAW = f"""UPDATE raffle_entry SET state = 'won' WHERE sale_id = %(sale_id)s
   AND fan_id IN (SELECT fan_id FROM ({DRAWN}) AS drawn WHERE place <= prizes)"""
BY_THE_SEED = f"""SELECT 0 AS expected, count(*) AS found FROM ({DRAWN}) AS drawn JOIN sales_sale ON sales_sale.id = sale_id
 WHERE (drawn.state = 'won') <> (sales_sale.state = 'settled' AND place <= prizes)"""
SEALED = ("price_minor", "prizes", "fee_bps")  # as they are; the seed by its hash
SEED_SHA256 = {"seed_sha256": "encode(sha256(convert_to(seed::text, 'UTF8')), 'hex')"}
PAID_FOR = """SELECT price_minor * (SELECT count(*) FROM raffle_entry WHERE sale_id = raffle_raffle.sale_id) AS expected,
       coalesce((SELECT sum(amount_minor) FROM ledger_transfer JOIN ledger_account ON ledger_account.id = credit_account_id
                  WHERE owner_id = sale_id AND ledger_account.kind = 'escrow' AND code = 'purchase'), 0) AS found
  FROM raffle_raffle WHERE sale_id = %(sale_id)s"""


class RaffleForm(SaleForm, MoneyForm):
    price = AmountField(help_text="0: free.")
    prizes = WholeNumberField(min_value=1, max_value=1_000)


class EntryLane(PlainLane):
    name, format, row = "raffle.entry", "raffle", Entry

    def make(self, sale, purchase):
        charge(sale, purchase, sale.raffle.price_minor)
        return super().make(sale, purchase)


class RaffleRules(PlainRules):
    row = Entry
    frame_sql = """SELECT price_minor, prizes, (SELECT count(*) FROM raffle_entry WHERE sale_id = %(sale_id)s) AS entries
                     FROM raffle_raffle WHERE sale_id = %(sale_id)s"""

    def terms(self, sale):
        raffle, seed_sha256 = sale.raffle, sha256(str(sale.raffle.seed).encode()).hexdigest()
        return {name: getattr(raffle, name) for name in SEALED} | {"seed_sha256": seed_sha256}

    def publish(self, sale, now): ...

    def settle_step(self, sale, now, *, limit):
        connection.cursor().execute(DRAW, {"sale_id": sale.id})
        gross = paid_in([sale.id]).get(sale.id, 0)
        lines = sellers_lines(sale, gross_minor=gross, fee_minor=share_bps(gross, sale.raffle.fee_bps))
        pass_on(sale, lines, at=now)


class RafflePresenter(BasePresenter, folder="raffle"):
    def room(self, request, sale, now):
        return {"mine": Entry.objects.filter(sale=sale, fan_id=request.user.pk).first()}


RAFFLE = Format(
    name="raffle", app="examples.raffle",
    words=Words("raffle", "raffles", "entries", "Whoever paid gets it back.", "Whoever paid gets it back."),
    count=Count("entries", "SELECT count(*) FROM raffle_entry WHERE sale_id = %(sale_id)s AND state <> 'refunded'"),
    rules=RaffleRules(), presenter=RafflePresenter(), form=RaffleForm, draft=drafts(Raffle, format="raffle"),
    places=[plain_place(EntryLane, "raffles", "entries", verb="enter", refused="insufficient_funds")],
    checks=[
        *COMMON,
        terms_rule("raffle_raffle", {name: f"raffle_raffle.{name}" for name in SEALED} | SEED_SHA256),
        Check("by_the_seed", "Those won whom the seed draws, and nobody else.", BY_THE_SEED, GOODS),
        Check("each_entry_paid_for", "Every entry was paid for, and nothing else.", PAID_FOR, MONEY),
    ],
)  # fmt: skip
