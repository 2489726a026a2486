"""No change of a row that money or stock depends on goes unseen by the checks, but for those named here, with the reason."""

from __future__ import annotations

import datetime as dt
import io
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.db.models import F

from auctions.models import Claim, Dutch, English, Win
from core import clock
from core.ids import uuid7
from core.models import DueWork
from core.money import Money
from core.transactions import in_transaction
from drops.models import Drop, Order
from drops.rules import CancelOrder, ConfirmOrder, ExpireHold, OrderValue, RefundOrder
from ledger import services as ledger
from ledger.models import Transfer
from payments import services as payments
from payments.providers import Simulated
from rallies.models import Join, Rally
from rallies.values import LeaveRally, RemoveFan
from sales import levers, proof, stuck
from sales import services as sales
from sales.models import Sale
from tests.tools import mutations
from tests.tools.shop import (
    AFTER_THE_END,
    NOW,
    AuctionProcess,
    ClaimProcess,
    Process,
    RallyProcess,
    bid_request,
    claim_request,
    close_on_time,
    join_late,
    join_request,
    make_auction,
    make_drop,
    make_dutch,
    make_fan,
    make_fans,
    make_rally,
    make_seller,
    pause,
    purchase,
    refund,
    settle_one,
)
from tests.tools.tamper import tamper
from tests.tools.truth import broken_checks

pytestmark = pytest.mark.django_db(transaction=True)

SECOND = dt.timedelta(seconds=1)


# -- two small worlds, in which there is a row of every kind


def sold(seller: Any, fans: list[UUID], **terms: Any) -> Drop:
    """A running drop in which everything has happened that can."""
    drop = make_drop(seller=seller, units_total=120, limit_per_fan=9, hold_s=60, cancel_s=60, **terms)
    process = Process(drop)

    def hold(fan: UUID) -> OrderValue:
        return process.do(purchase(fan, hold=True))

    one, two, *_ = fans
    process.do(purchase(one, 2))
    process.do(purchase(two))
    kept, given_back, run_out, bought = hold(one), hold(two), hold(one), process.do(purchase(two))
    process.do(ConfirmOrder(kept.id, one, NOW + SECOND))
    process.do(CancelOrder(given_back.id, two, NOW + 2 * SECOND))
    process.do(ExpireHold(run_out.id, NOW + 61 * SECOND))
    process.do(RefundOrder(bought.id, NOW + 3 * SECOND))
    refunded = hold(two)
    process.do(ConfirmOrder(refunded.id, two, NOW + 4 * SECOND))
    process.do(RefundOrder(refunded.id, NOW + 5 * SECOND))
    return drop


def settle(sale_id: UUID) -> None:
    now = close_on_time(sale_id)
    while next_at := sales.settle_step(sale_id=sale_id, now=now):
        now = min(next_at, now + SECOND)


def call_off(sale: Sale) -> None:
    sales.cancel_sale(seller_id=sale.seller_id, sale_id=sale.id, now=sale.closes_at - SECOND / 2)
    unwind(sale.id, sale.closes_at)


def unwind(sale_id: UUID, at: dt.datetime) -> None:
    while sales.unwind_step(sale_id=sale_id, now=at):
        pass
    DueWork.objects.filter(kind=sales.UNWIND, subject_id=sale_id).update(done_at=at)


def set_one_aside(sale_id: UUID) -> None:
    """One purchase stands aside while all others are settled."""
    now = close_on_time(sale_id)
    in_transaction(lambda: stuck.set_aside(sale_id, ValueError("it cannot be done"), now=now), name="test")
    for _ in range(3):
        sales.settle_step(sale_id=sale_id, now=now)


def void(sale: Sale) -> None:
    """Staff call it off when some of it is settled."""
    settle_one(sale.id)
    levers.void_sale(sale_id=sale.id, staff_id=make_fan(), reason="A fraud", now=AFTER_THE_END)
    unwind(sale.id, AFTER_THE_END + SECOND)


def drops_world() -> None:
    seller, fans = make_seller(), make_fans(3, funds=90_000)
    settled = sold(seller, fans).sale_id
    pause(settled, 100, at=NOW + 100 * SECOND)
    settle(settled)
    last = Order.objects.filter(drop_id=settled, state="settled").order_by("id").last()
    assert last is not None
    refund(Sale.objects.get(id=settled), last.id, last.total_minor - 1)
    refund(Sale.objects.get(id=settled), last.id, 1, number=2)
    frozen = sold(seller, fans).sale_id
    levers.freeze_sale(sale_id=frozen, staff_id=make_fan(), reason="A doubt", now=NOW + 100 * SECOND)
    void(sold(seller, fans).sale)
    live = sold(seller, fans)
    Process(live).do(purchase(fans[2], hold=True))
    sales.announce_sale(sale_id=live.sale_id, now=NOW)
    called_off = sold(seller, fans)
    Process(called_off).do(purchase(fans[2], hold=True))
    call_off(called_off.sale)
    set_one_aside(sold(seller, fans).sale_id)
    unlimited = make_drop(seller=make_seller(), units_total=2)
    Process(unlimited).do(purchase(fans[0]))


def crowd(seller: Any, fans: list[UUID], **terms: Any) -> Rally:
    """A running rally that somebody has left, come back to, been turned out of, and left for good."""
    rally = make_rally(**{"seller": seller, "cap_units": 200, "late_joins": True} | terms)
    process = RallyProcess(rally)
    one, two, three, four, five, six, seven = fans
    code = process.do(join_request(one, 2)).invite_code
    process.do(join_request(two, invite=code))
    process.do(join_request(three, only=8_000))
    process.do(join_request(four, 3, only=5_200))
    process.do(join_request(five))
    process.do(LeaveRally(five, NOW + SECOND))
    process.do(join_request(five, at=NOW + 2 * SECOND))
    process.do(join_request(six))
    process.do(RemoveFan(six, NOW + SECOND))
    process.do(join_request(seven))
    process.do(LeaveRally(seven, rally.sale.closes_at - SECOND))
    return rally


def rallies_world() -> None:
    seller, fans = make_seller(), make_fans(8, funds=300_000)
    *crowd_fans, late = fans
    settled = crowd(seller, crowd_fans)
    settle(settled.sale_id)
    paid = Join.objects.get(rally_id=settled.sale_id, fan_id=crowd_fans[0])
    refund(settled.sale, paid.id, 77)
    refund(settled.sale, join_late(settled, late, 2).id, 100)
    crowd(seller, crowd_fans)
    void(crowd(seller, crowd_fans).sale)
    call_off(crowd(seller, crowd_fans).sale)
    set_one_aside(crowd(seller, crowd_fans).sale_id)
    settle(crowd(seller, crowd_fans, minimum=20, basis="units", cap_units=None, late_joins=False).sale_id)


def fought_over(seller: Any, fans: list[UUID], *, paused_s: int = 0, **terms: Any) -> English:
    """A running auction in which every answer was given that can be, and the end has moved."""
    auction = make_auction(**{"seller": seller, "reserve_minor": 3_500, "start_minor": 1_000} | terms)
    process, last = AuctionProcess(auction), auction.sale.closes_at + (paused_s - 10) * SECOND
    one, two, three, *_ = fans
    process.do(bid_request(one, 2_000))
    process.do(bid_request(two, 1_500, at=NOW + SECOND))
    process.do(bid_request(two, 2_000, at=NOW + 2 * SECOND))
    process.do(bid_request(three, 3_000, at=NOW + 3 * SECOND))
    process.do(bid_request(three, 4_000, at=NOW + 4 * SECOND))
    if paused_s:
        pause(auction.sale_id, paused_s, at=NOW + 5 * SECOND)
    process.do_batch(bid_request(one, 4_500, at=last), bid_request(two, 6_000, at=last + SECOND))
    return auction


def auctions_world() -> None:
    seller, fans = make_seller(), make_fans(4, funds=300_000)
    sold = fought_over(seller, fans, paused_s=100).sale
    settle(sold.id)
    refund(sold, Win.objects.get(sale_id=sold.id).id, 100)
    fought_over(seller, fans)
    make_auction(seller=seller)
    settle(fought_over(seller, fans, reserve_minor=9_000).sale_id)
    call_off_by_staff(fought_over(seller, fans).sale)
    bought = make_auction(seller=seller, buy_now_minor=5_000)
    AuctionProcess(bought).do(bid_request(fans[0], None))
    call_off_by_staff(bought.sale)
    buy_and_settle(make_auction(seller=seller, buy_now_minor=5_000), fans[3])


def call_off_by_staff(sale: Sale) -> None:
    """Once it is closed. A lot is settled in one step, so there is no moment in which half of it is."""
    close_on_time(sale.id)
    levers.void_sale(
        sale_id=sale.id, staff_id=make_fan(), reason="A fraud", now=AFTER_THE_END + 2 * (AFTER_THE_END - NOW)
    )
    unwind(sale.id, AFTER_THE_END + 3 * (AFTER_THE_END - NOW))


def buy_and_settle(auction: English, fan: UUID) -> None:
    AuctionProcess(auction).do(bid_request(fan, None))
    settle(auction.sale_id)


def falling(seller: Any, fans: list[UUID], *, paused_s: int = 0, **terms: Any) -> Dutch:
    """A running falling price with claims at several prices."""
    sale = make_dutch(**{"seller": seller, "units_total": 120} | terms)
    process = ClaimProcess(sale)
    one, two, three, *_ = fans
    process.do(claim_request(one, 9_500, 2))
    process.do(claim_request(two, 9_500))
    if paused_s:
        pause(sale.sale_id, paused_s, at=NOW + SECOND)
    process.do(claim_request(three, 9_500, 3, at=NOW + (paused_s + 130) * SECOND))
    process.do(claim_request(one, 4_500, at=NOW + (paused_s + 1_800) * SECOND))
    return sale


def dutch_world() -> None:
    seller, fans = make_seller(), make_fans(4, funds=900_000)
    settled = falling(seller, fans, paused_s=100).sale
    settle(settled.id)
    refund(settled, Claim.objects.filter(sale_id=settled.id).order_by("id")[0].id, 100)
    settle(falling(seller, fans, pays="last").sale_id)
    falling(seller, fans)
    make_dutch(seller=seller)
    void(falling(seller, fans).sale)
    call_off_by_staff(falling(seller, fans).sale)
    set_one_aside(falling(seller, fans).sale_id)


def books_world() -> None:
    fan = make_fan()
    for is_paid in (True, False, None):
        top_up = payments.start_top_up(top_up_id=uuid7(), user_id=fan, amount=Money(500, "EUR"), now=NOW)
        if is_paid is not None:
            payments.complete_top_up(event=Simulated().decided(top_up, is_paid=is_paid), now=NOW + SECOND)
    Transfer.objects.update(recorded_at=F("recorded_at") - dt.timedelta(hours=1))
    ledger.checkpoint_accounts(now=clock.now())
    assert proof.prove_books().holds  # and leaves its own checkpoint


# -- what is looked at, and what may go unseen

LEFT_OUT = {
    "sales_reminder": "whom to tell that a sale opens",
    "sales_telling": "how far telling fans has come",
    "sales_proofrun": "what the checks said, and not what they look at",
    "sales_takings": "figures for a shop's screens, counted from purchases that are looked at",
    "sales_bought": "figures for a shop's screens, counted from purchases that are looked at",
    "sales_shopbuyers": "figures for a shop's screens, counted from purchases that are looked at",
    "sales_buyersweek": "figures for a shop's screens, counted from purchases that are looked at",
}

SALE_STATE = "(SELECT state FROM sales_sale WHERE id = row.{}) || ' ' || "
KINDS = {
    "sales_sale": "row.format || ' ' || row.state || ' ' || (SELECT count(*) FROM sales_staffaction WHERE sale_id = row.id)",
    "sales_gate": "'any'",
    "sales_staffaction": SALE_STATE.format("sale_id") + "row.kind",
    "drops_order": SALE_STATE.format("drop_id") + "row.state || ' ' || row.is_hold",
    "drops_fanlimit": SALE_STATE.format("drop_id") + "CASE row.units WHEN 0 THEN 'none' ELSE 'some' END",
    "auctions_claim": SALE_STATE.format("sale_id") + "row.state",
    "rallies_join": SALE_STATE.format("rally_id") + "row.state || ' ' || (row.level > 0)",
    "rallies_bucket": SALE_STATE.format("rally_id") + "(row.units_left IS NULL)",
    "rallies_limitedcount": SALE_STATE.format("rally_id") + "(row.joiners > 0)",
    "ledger_account": """row.kind || CASE WHEN EXISTS (
        SELECT 1 FROM ledger_transfer WHERE row.id IN (debit_account_id, credit_account_id)) THEN '' ELSE ' of nothing' END""",
    "ledger_checkpoint": "CASE row.available_minor WHEN 0 THEN 'nothing' ELSE 'a sum' END",
    "ledger_transfer": """row.code || ' ' || row.kind || ' ' || coalesce((
        SELECT sales_sale.format || ' ' || sales_sale.state
          FROM ledger_account JOIN sales_sale ON sales_sale.id = ledger_account.owner_id
         WHERE ledger_account.id IN (row.debit_account_id, row.credit_account_id)), 'none')""",
    "payments_topup": "row.state || ' ' || row.provider",
}

# Patterns of changes, as `Mutation` writes them, and why nobody is harmed by them.
OWN_KEY = "a key of the row's own, by which no other row finds it"
ENDS_ONCE = "worked out from the id of what it ends, so that there cannot be a second one; that there is one is counted"
MADE_WHEN = "says when the row was made, and nothing is worked out from it"
A_COUNTER = "grows with each write, so that writers meet and viewers know what is newer; it counts no unit and no money"
CLIENTS_KEY = (
    "the name that the fan's own program gave its request, to find the answer again; that no two are alike is checked"
)
ANNOUNCED = "whether it is open is decided by its times; this says that its opening was announced"
WALLETS_ONLY = "of a transfer that changes wallets only, whose balances are kept on their own rows"
NO_MONEY = "a top-up that brought no money in, and cannot later without being compared with what its provider says"

MAY_GO_UNSEEN = {
    "sales_sale.slug of *": "a part of the page's address",
    "sales_sale.entry_minor of *": "what lists are narrowed by; the sealed terms say what one pays",
    "sales_sale.story of *": "the seller's own words beside the terms, which the sealed text does not have",
    "sales_sale.version of *": A_COUNTER,
    "sales_sale.created_at of *": MADE_WHEN,
    "sales_sale.closed_at of *, later: *": "nothing can be from after the end that it really had, and what one before the sealed "
    "time means for a rally's price is worked out again",
    "sales_sale.settled_at of *, later: *": "says when the last step found nothing left to do; the times of what was paid are the "
    "settlements' and the books'",
    "sales_sale.state of *: scheduled → live": ANNOUNCED,
    "sales_sale.state of *: live → scheduled": ANNOUNCED,
    "sales_sale.state of *: settling → closed": "settling begins with the next step in either",
    "sales_sale.state of *: cancelled → closed": "everybody has been given everything back, and settling finds nothing to pay",
    "sales_sale.state of *: cancelled → settling": "everybody has been given everything back, and settling finds nothing to pay",
    "sales_gate.version of *": A_COUNTER,
    "sales_sealedterms.id of *": OWN_KEY,
    "sales_staffaction.id of *": OWN_KEY,
    "sales_staffaction.reason of *": "the reason in words",
    "sales_staffaction.staff_id of *": "who of staff did it; what was done is compared",
    "sales_staffaction.with_shop of *": "whether it was done to one sale or to all of a shop; what was done is the same",
    "sales_staffaction.at of * void', later: *": "when staff called it off; every transfer back has its own time",
    "sales_staffaction.[*] of * void', gone: *": "then it looks called off by its seller; what everybody has got back is the same",
    "sales_stuckrow.[*] of *, gone: *": "what it kept aside is taken up again by the next step",
    "sales_stuckrow.id of *": OWN_KEY,
    "sales_stuckrow.error of *": "words for staff",
    "sales_stuckrow.made_at of *": MADE_WHEN,
    "sales_refund.reason of *": "the reason in words",
    "sales_refund.made_by_id of *": "who of the shop did it; what was given back is compared",
    "drops_fanlimit.* of * none', *": "a row that counts no unit, of a fan who has given everything back",
    "drops_order.idempotency_key of *": CLIENTS_KEY,
    "rallies_join.idempotency_key of *": CLIENTS_KEY,
    "rallies_latejoin.idempotency_key of *": CLIENTS_KEY,
    "auctions_bid.idempotency_key of *": CLIENTS_KEY,
    "auctions_claim.idempotency_key of *": CLIENTS_KEY,
    "auctions_claim.at_most_minor of *, more: *": "whoever agreed to a cent more has agreed to the price that was charged",
    "rallies_join.only_at_or_below_minor of *, more: *": "one cent more accepts the same tiers, so it is the same limit",
    "rallies_join.bucket of * removed *": "of a join that is counted nowhere",
    "rallies_join.state of *: removed → left": "either way the fan has all money back and nothing is counted; who ended it is the "
    "seller's word",
    "rallies_join.state of *: left → removed": "either way the fan has all money back and is counted alike",
    "rallies_join.invite_code of *": "the fan's own link; whoever came by it pays the same price",
    "rallies_join.invited_by_id of *": "who brought whom is told to the two of them; it is worth nothing to either",
    "rallies_rally.seller_invite of *": "the seller's own link, which is not sealed, so that it need not be public",
    "rallies_rally.next_id of *": "which sale comes next in the series; that one has terms of its own",
    "rallies_outcome.settled_up_to of *": "where the next step goes on; that nobody was passed over is seen by each join's state",
    "ledger_account.created_at of *": MADE_WHEN,
    "ledger_account.* of '* of nothing', *": "an account of which there is no transfer has nothing",
    "ledger_transfer.id of 'release *": ENDS_ONCE,
    "ledger_transfer.id of 'expired *": ENDS_ONCE,
    "ledger_transfer.id of 'capture *": ENDS_ONCE,
    "ledger_transfer.id of 'refund * drop *": ENDS_ONCE,
    "ledger_transfer.id of 'refund * english *": ENDS_ONCE,
    "ledger_transfer.id of 'premium *": ENDS_ONCE,
    "ledger_transfer.id of 'premium_back *": ENDS_ONCE,
    "ledger_transfer.id of 'fee *": ENDS_ONCE,
    "ledger_transfer.id of 'fee_back *": ENDS_ONCE,
    "ledger_transfer.id of 'late_fee *": ENDS_ONCE,
    "ledger_transfer.recorded_at of *, earlier: *": "it says which transfers a kept sum has already; across such a time it is seen",
    "ledger_transfer.recorded_at of 'hold *": WALLETS_ONLY,
    "ledger_transfer.recorded_at of 'release *": WALLETS_ONLY,
    "ledger_transfer.recorded_at of 'expired *": WALLETS_ONLY,
    "ledger_checkpoint.[*] of *, gone: *": "the sum is made again from all transfers",
    "ledger_bookscheckpoint.[*] of *, gone: *": "the books are checked from the beginning again",
    "ledger_checkpoint.account_id of 'nothing', unknown: *": "an account of which there is no transfer has nothing",
    "ledger_checkpoint.until of 'nothing', earlier: *": "before its first transfer an account had nothing",
    "ledger_checkpoint.id of *": OWN_KEY,
    "ledger_checkpoint.until of *, later: *": "nothing was recorded between the two times, so the sum is right for both",
    "ledger_bookscheckpoint.until of *, later: *": "nothing was recorded between the two times, so the sum is right for both",
    "payments_topup.* of 'started *": NO_MONEY,
    "payments_topup.* of 'failed *": NO_MONEY,
    "payments_topup.created_at of *": MADE_WHEN,
    "payments_topup.provider of *": "who was asked; what came in is compared with the books whoever it was",
    "payments_topup.return_to of *": "a page of this site to go on to",
    "payments_topup.provider_ref of *": "the provider's own name for the payment",
}


@pytest.mark.tampers
def test_no_change_of_a_row_goes_unseen() -> None:
    drops_world()
    rallies_world()
    auctions_world()
    dutch_world()
    books_world()
    assert broken_checks() == []

    found = mutations.look_at(mutations.mutations(LEFT_OUT, KINDS), MAY_GO_UNSEEN)

    assert "\n".join(map(str, found.unseen)) == ""
    assert [pattern for pattern, change in found.allowed.items() if change is None] == [], (
        "these are seen, or there are none"
    )
    # Of every table one change that a check sees, as whoever runs the command would.
    assert {change.table for change in found.seen} == {model._meta.db_table for model in mutations.tables(LEFT_OUT)}
    for change in found.seen:
        with tamper(change.statement), pytest.raises(SystemExit) as ended:
            call_command("check_invariants", stdout=io.StringIO())
        assert ended.value.code == 1, str(change)
