"""What must be true of every English auction, at every moment; and, once it is settled, of its money."""

from django.utils.translation import gettext_noop as N_

from auctions.charges import HOLD_OUTLIVES_END
from core.invariants import GOODS, MONEY, TERMS, Check
from sales.invariants import (
    CLOSING,
    COMMON,
    ESCROW,
    FEES,
    PAUSES,
    ended_for_its_fan,
    in_time,
    none_set_aside,
    nothing_unsettled,
    paid_afterwards,
    paid_by_its_fan,
    paid_to_its_seller,
    refunds_add_up,
    seller_credited,
    terms_rule,
)

# The text that `english.reserve` commits to.
RESERVE_SHA256 = r"""(SELECT encode(sha256(convert_to('dropfront.auction.reserve.v1' || E'\n' || 'lot: ' || kept.sale_id || E'\n'
                  || 'reserve_minor: ' || reserve_minor || E'\n' || 'currency: ' || sold.currency || E'\n'
                  || 'salt: ' || replace(CAST(reserve_salt AS text), '-', '') || E'\n', 'UTF8')), 'hex')
            FROM auctions_english AS kept JOIN sales_sale AS sold ON sold.id = kept.sale_id
           WHERE kept.sale_id = auctions_english.sale_id AND reserve_minor IS NOT NULL)"""

TERMS_RULE = terms_rule(
    "auctions_english",
    {
        name: f"auctions_english.{name}"
        for name in (
            "start_minor", "steps", "buy_now_minor", "window_s", "extension_s", "overtime_s", "premium_bps", "fee_bps",
        )
    }
    | {"reserve_sha256": RESERVE_SHA256},
)  # fmt: skip

_STEP = """(SELECT CAST(split_part(line, ':', 2) AS bigint) FROM unnest(string_to_array(steps, ',')) AS line
             WHERE CAST(split_part(line, ':', 1) AS bigint) <= {price} ORDER BY CAST(split_part(line, ':', 1) AS bigint) DESC
             LIMIT 1)"""

# The rules of the auction once more, in SQL, from who bid what when: each line of the log follows from the one before.
REPLAY = f"""
    WITH RECURSIVE terms AS (
        SELECT auctions_english.*, closes_at, closes_at + overtime_s * interval '1 second' AS hard_end,
               opens_at
          FROM auctions_english JOIN sales_sale ON sales_sale.id = sale_id WHERE sale_id = %(sale_id)s),
    played AS (
        SELECT 0 AS seq, CAST(NULL AS uuid) AS leader, CAST(0 AS bigint) AS most, CAST(0 AS bigint) AS price,
               CAST(0 AS bigint) AS other, closes_at AS ends_at, 0 AS extensions, CAST(NULL AS text) AS answer, TRUE AS fits
          FROM terms
         UNION ALL
        SELECT after.seq, after.leader, after.most, after.price, after.other,
               CASE WHEN is_seen THEN later ELSE after.ends_at END,
               after.extensions + CASE WHEN is_seen AND later <> after.ends_at THEN 1 ELSE 0 END, after.answer, after.fits
          FROM (
            SELECT ranked.*, received, before_end AS ends_at, (leader IS DISTINCT FROM was_leader OR price <> was_price)
                   AND answer <> 'bought' AND before_end - received <= window_s * interval '1 second' AS is_seen,
                   least(greatest(before_end, received + extension_s * interval '1 second'), hard_end) AS later
              FROM (
                SELECT bid.seq, bid.answer AS said, was.leader AS was_leader, was.price AS was_price, was.ends_at AS before_end,
                       bid.received_at - bid.frozen_ms * interval '1 millisecond' AS received, was.extensions,
                       window_s, extension_s, hard_end, moved.leader, moved.most, moved.other, moved.answer,
                       CASE WHEN moved.answer <> 'bought' AND moved.most >= reserve_minor THEN greatest(moved.price, reserve_minor)
                            ELSE moved.price END AS price,
                       moved.fits AND was.answer IS DISTINCT FROM 'bought'
                           AND bid.received_at - bid.frozen_ms * interval '1 millisecond' >= opens_at - interval '0 second'
                           AND bid.received_at - bid.frozen_ms * interval '1 millisecond' < was.ends_at AS fits
                  FROM played AS was
                  JOIN auctions_bid AS bid ON bid.sale_id = %(sale_id)s AND bid.seq = was.seq + 1
                 CROSS JOIN terms
                 CROSS JOIN LATERAL (SELECT {_STEP.format(price="was.price")} AS to_next,
                                            {_STEP.format(price="was.most")} AS over_leader,
                                            {_STEP.format(price="bid.max_minor")} AS over_bid) AS step
                 CROSS JOIN LATERAL (
                    SELECT bid.fan_id AS leader, bid.max_minor AS most, bid.max_minor AS price,
                           CASE WHEN bid.fan_id = was.leader THEN was.other ELSE was.most END AS other, 'bought' AS answer,
                           bid.max_minor = buy_now_minor AND was.price < buy_now_minor
                               AND (was.seq = 0 OR was.most < reserve_minor) IS TRUE AS fits
                     WHERE bid.answer = 'bought'
                     UNION ALL
                    SELECT bid.fan_id, bid.max_minor, start_minor, 0, 'leads', bid.max_minor >= start_minor
                     WHERE bid.answer <> 'bought' AND was.leader IS NULL
                     UNION ALL
                    SELECT was.leader, bid.max_minor, was.price, was.other, 'raised', bid.max_minor > was.most
                     WHERE bid.answer <> 'bought' AND was.leader = bid.fan_id
                     UNION ALL
                    SELECT bid.fan_id, bid.max_minor, least(bid.max_minor, was.most + over_leader), was.most, 'leads',
                           bid.max_minor >= was.price + to_next
                     WHERE bid.answer <> 'bought' AND was.leader <> bid.fan_id AND bid.max_minor > was.most
                     UNION ALL
                    SELECT was.leader, was.most, least(was.most, bid.max_minor + over_bid), bid.max_minor,
                           CASE WHEN bid.max_minor = was.most THEN 'tied' ELSE 'outbid' END, bid.max_minor >= was.price + to_next
                     WHERE bid.answer <> 'bought' AND was.leader <> bid.fan_id AND bid.max_minor <= was.most) AS moved
              ) AS ranked
          ) AS after
    )"""  # noqa: S608  # constants of the program

LOG_REPLAYS = Check(
    "log_replays",
    N_(
        "The auction played again from who bid what when, by its sealed rules, gives every line of its log: who led, at what "
        "price, when it would end; and where the lot stands follows from the last of them."
    ),
    f"""{REPLAY}
    SELECT 0 AS expected,
           (SELECT count(*) FROM played FULL JOIN (SELECT * FROM auctions_bid WHERE sale_id = %(sale_id)s) AS bid
                                               ON bid.seq = played.seq
             WHERE played.seq IS DISTINCT FROM 0
               AND (played.fits IS NOT TRUE OR bid.answer IS DISTINCT FROM played.answer OR bid.leader_after_id <> played.leader
                    OR bid.price_after_minor <> played.price OR bid.end_after <> played.ends_at))
         + (SELECT count(*) FROM auctions_lot LEFT JOIN played ON played.seq = auctions_lot.seq
             WHERE sale_id = %(sale_id)s
               AND (played.seq IS NULL OR leader_id IS DISTINCT FROM leader OR leader_max_minor <> most OR price_minor <> price
                    OR best_other_max_minor <> other OR auctions_lot.ends_at <> played.ends_at
                    OR auctions_lot.extensions <> played.extensions
                    OR auctions_lot.seq <> (SELECT count(*) FROM auctions_bid WHERE sale_id = %(sale_id)s)))
         + (SELECT 1 - count(*) FROM auctions_lot WHERE sale_id = %(sale_id)s) AS found
    """,  # noqa: S608  # constants of the program
    about=GOODS,
)

ENDED_BY_THE_RULES = Check(
    "ended_by_the_rules",
    N_(
        "The lot ended as its bids say: sold exactly when somebody led and the reserve was met, or somebody bought it at once; "
        "at the price of the last bid."
    ),
    """
    SELECT 0 AS expected, count(*) AS found
      FROM auctions_lot JOIN auctions_english USING (sale_id) JOIN sales_sale ON sales_sale.id = auctions_lot.sale_id
      LEFT JOIN auctions_win USING (sale_id)
      LEFT JOIN auctions_bid AS last ON last.sale_id = auctions_lot.sale_id AND last.seq = auctions_lot.seq
     WHERE auctions_lot.sale_id = %(sale_id)s
       AND ((auctions_lot.state = 'sold') <> (auctions_win.id IS NOT NULL)
            OR auctions_lot.state NOT IN ('sold', 'unsold') AND sales_sale.state = 'settled'
            OR auctions_lot.state = 'cancelled' AND sales_sale.state <> 'cancelled'
            OR auctions_lot.state = 'unsold' AND (sales_sale.state IN ('scheduled', 'live', 'frozen', 'closed')
                 OR coalesce(last.answer = 'bought', FALSE)
                 OR leader_id IS NOT NULL AND auctions_lot.price_minor >= coalesce(reserve_minor, 0))
            OR auctions_lot.state = 'sold' AND (leader_id IS NULL OR auctions_win.fan_id <> leader_id
                 OR auctions_win.price_minor <> auctions_lot.price_minor OR auctions_win.transfer_id <> hold_id
                 OR last.answer <> 'bought' AND (auctions_lot.price_minor < coalesce(reserve_minor, 0)
                                                 OR sales_sale.state IN ('scheduled', 'live', 'frozen', 'closed')))
            OR coalesce(last.answer = 'bought', FALSE) AND auctions_lot.state <> 'sold')
    """,
    about=GOODS,
)

WIN_ADDS_UP = Check(
    "win_adds_up",
    N_(
        "The winner pays the price of the lot and the sealed premium on it, and the seller gives the sealed fee, each rounded "
        "down; under the sealed terms, for the bid that made the hold."
    ),
    """
    SELECT 0 AS expected, count(*) AS found
      FROM auctions_win JOIN auctions_english USING (sale_id) JOIN sales_sale ON sales_sale.id = sale_id
      LEFT JOIN auctions_bid AS bid ON bid.id = auctions_win.id AND bid.sale_id = auctions_win.sale_id
     WHERE auctions_win.sale_id = %(sale_id)s
       AND (premium_minor <> price_minor * premium_bps / 10000 OR auctions_win.fee_minor <> price_minor * fee_bps / 10000
            OR quantity <> 1 OR auctions_win.terms_sha256 <> sales_sale.terms_sha256
            OR bid.fan_id IS DISTINCT FROM auctions_win.fan_id OR bid.transfer_id IS DISTINCT FROM auctions_win.transfer_id
            OR bid.idempotency_key <> auctions_win.idempotency_key
            OR (passed_on_at IS NOT NULL) <> (sales_sale.state = 'settled')
            OR passed_on_at < won_at OR (auctions_win.state = 'refunded') <> (changed_at <> won_at)
            OR auctions_win.state = 'refunded' AND sales_sale.state <> 'cancelled'
            OR auctions_win.state = 'won' AND sales_sale.state = 'settled' AND passed_on_at IS NULL)
    """,
    about=MONEY,
)

# The bids that made a hold, each with when its money was free again or taken: by the next such bid, or at the end.
_HOLDS = f"""
            SELECT bid.id, bid.fan_id, bid.transfer_id, bid.received_at AS at, {ESCROW} AS credit_account_id,
                   'pending' AS kind, 'hold' AS code, CAST(0 AS bigint) AS amount_minor,
                   max_minor + max_minor * premium_bps / 10000 AS held_minor
              FROM auctions_bid AS bid JOIN auctions_english USING (sale_id)
             WHERE sale_id = %(sale_id)s AND bid.transfer_id IS NOT NULL"""  # noqa: S608  # a constant

PAID_BY_ITS_FAN = paid_by_its_fan(_HOLDS)

HELD_FOR_THE_LEADER = Check(
    "held_for_the_leader",
    N_(
        "While the lot is open its leader's money is held, for the whole maximum, and nobody else's; afterwards nothing is."
    ),
    f"""
    SELECT 0 AS expected,
           (SELECT count(*) FROM (
                SELECT id FROM (
                    SELECT hold_id AS id, leader_max_minor + leader_max_minor * premium_bps / 10000 AS held
                      FROM auctions_lot JOIN auctions_english USING (sale_id)
                     WHERE sale_id = %(sale_id)s AND hold_id IS NOT NULL AND auctions_lot.state = 'open'
                     UNION ALL
                    SELECT coalesce(pending_id, id), -held_minor FROM ledger_transfer
                     WHERE credit_account_id = {ESCROW} AND held_minor <> 0) AS side
                 GROUP BY id HAVING sum(held) <> 0) AS wrong)
         + (SELECT count(*) FROM auctions_lot
             WHERE sale_id = %(sale_id)s AND seq > 0
               AND hold_id IS DISTINCT FROM (SELECT transfer_id FROM auctions_bid
                                              WHERE sale_id = %(sale_id)s AND transfer_id IS NOT NULL
                                              ORDER BY seq DESC LIMIT 1))
         + (SELECT count(*) FROM ledger_transfer AS hold LEFT JOIN auctions_bid AS bid ON bid.id = hold.subject_id
             WHERE hold.credit_account_id = {ESCROW} AND hold.kind = 'pending' AND bid.transfer_id IS DISTINCT FROM hold.id)
         + (SELECT count(*) FROM auctions_bid AS bid
             WHERE sale_id = %(sale_id)s AND bid.transfer_id IS NOT NULL
               AND (bid.leader_after_id <> bid.fan_id OR bid.answer NOT IN ('leads', 'raised', 'bought'))) AS found
    """,  # noqa: S608  # constants of the program
    about=MONEY,
)

ENDED_FOR_ITS_FAN = ended_for_its_fan(
    "auctions_bid",
    "sale_id",
    code="""
           CASE WHEN moved.kind = 'pending' THEN 'hold' WHEN moved.kind = 'posted' THEN 'capture'
                WHEN moved.kind = 'voided' THEN 'release' WHEN moved.kind = 'plain' THEN 'refund' END""",
    at="""
           CASE WHEN moved.kind = 'pending' THEN moved.at = purchase.received_at
                WHEN moved.kind = 'posted'
                THEN moved.at = (SELECT won_at FROM auctions_win WHERE auctions_win.id = purchase.id)
                     AND moved.amount_minor = (SELECT price_minor + premium_minor FROM auctions_win WHERE id = purchase.id)
                WHEN moved.kind = 'plain'
                THEN moved.at = (SELECT changed_at FROM auctions_win WHERE auctions_win.id = purchase.id AND state = 'refunded')
                     AND moved.amount_minor = (SELECT price_minor + premium_minor FROM auctions_win WHERE id = purchase.id)
                ELSE moved.at = coalesce((SELECT later.received_at FROM auctions_bid AS later
                                           WHERE later.sale_id = purchase.sale_id AND later.transfer_id IS NOT NULL
                                             AND later.seq > purchase.seq ORDER BY later.seq LIMIT 1), moved.at)
                     AND moved.at >= purchase.received_at END""",
    expires_at=f"""moved.expires_at = (SELECT closes_at + overtime_s * interval '1 second'
                                                + interval '{HOLD_OUTLIVES_END.days} days' FROM auctions_english
                                        WHERE auctions_english.sale_id = purchase.sale_id)
                                      + purchase.frozen_ms * interval '1 millisecond'""",  # noqa: S608  # a constant
)

NO_BIDS_OF_THE_SHOP = Check(
    "no_bids_of_the_shop",
    N_("Nobody of the shop has bid on its lot; every bid is somebody's who exists, under the sealed terms."),
    """
    SELECT 0 AS expected, count(*) AS found
      FROM auctions_bid JOIN sales_sale ON sales_sale.id = auctions_bid.sale_id
      LEFT JOIN accounts_user ON accounts_user.id = auctions_bid.fan_id
     WHERE auctions_bid.sale_id = %(sale_id)s
       AND (accounts_user.id IS NULL OR auctions_bid.terms_sha256 <> sales_sale.terms_sha256
            OR EXISTS (SELECT 1 FROM sellers_member WHERE sellers_member.seller_id = sales_sale.seller_id
                          AND sellers_member.user_id = auctions_bid.fan_id
                          AND sellers_member.created_at <= auctions_bid.received_at))
    """,
    about=GOODS,
)

_FROZEN_BEFORE = "auctions_bid.frozen_ms * interval '1 millisecond'"

IN_TIME = in_time(
    f"""
           (WITH pause AS ({PAUSES})
            SELECT count(*) FROM auctions_bid JOIN auctions_english USING (sale_id)
             WHERE auctions_bid.sale_id = %(sale_id)s
               AND (received_at < opens_at + {_FROZEN_BEFORE} OR received_at >= closed_at + {CLOSING}
                    OR received_at >= closes_at + overtime_s * interval '1 second' + {_FROZEN_BEFORE}
                    OR CASE WHEN sales_sale.frozen_ms = 0 THEN auctions_bid.frozen_ms <> 0
                            ELSE auctions_bid.frozen_ms
                                 NOT BETWEEN (SELECT coalesce(sum(ms), 0) FROM pause WHERE resumed_at <= received_at - {CLOSING})
                                         AND (SELECT coalesce(sum(ms), 0) FROM pause WHERE resumed_at <= received_at + {CLOSING})
                       END))
           + (SELECT count(*) FROM auctions_win WHERE sale_id = %(sale_id)s
               AND (won_at > coalesce(settled_at, won_at) OR passed_on_at > settled_at))
           + CASE WHEN settled_at < closed_at THEN 1 ELSE 0 END""",  # noqa: S608  # a constant
)

_PASSED_ON = """(SELECT id, sale_id, price_minor AS gross_minor, fee_minor, premium_minor, passed_on_at AS created_at
                FROM auctions_win WHERE passed_on_at IS NOT NULL) AS settlement"""

PAID_TO_ITS_SELLER = paid_to_its_seller(
    _PASSED_ON,
    "sale_id",
    more=f"""
                SELECT id, 'premium', {ESCROW}, {FEES}, premium_minor, created_at, 1
                  FROM {_PASSED_ON} WHERE sale_id = %(sale_id)s AND premium_minor <> 0""",  # noqa: S608  # a constant
)

_WON = "SELECT id, fan_id, price_minor AS paid_minor FROM auctions_win WHERE sale_id = %(sale_id)s AND passed_on_at IS NOT NULL"

SELLER_CREDITED = seller_credited(_WON, "auctions_english")

AFTERWARDS = paid_afterwards(
    """
            SELECT id, fan_id, 'refund' AS code, 'fee_back' AS fee_code, changed_at AS at, CAST(0 AS bigint) AS amount_minor,
                   CAST(0 AS bigint) AS fee_minor FROM auctions_win WHERE FALSE""",
    "EXISTS (SELECT 1 FROM auctions_win WHERE id = moved.subject_id AND sale_id = %(sale_id)s)",
)

REFUNDS = refunds_add_up(_WON, "auctions_english")

NOTHING_STAYS = Check(
    "nothing_stays_behind",
    N_(
        "All the money the sale still holds was paid for a lot that is won and not passed on yet; after settling, none."
    ),
    f"""
    SELECT coalesce((SELECT sum(price_minor + premium_minor) FROM auctions_win
                      WHERE sale_id = %(sale_id)s AND state = 'won' AND passed_on_at IS NULL), 0) AS expected,
           coalesce((SELECT sum(CASE WHEN credit_account_id = {ESCROW} THEN amount_minor ELSE -amount_minor END)
                       FROM ledger_transfer WHERE credit_account_id = {ESCROW} OR debit_account_id = {ESCROW}), 0) AS found
    """,  # noqa: S608  # constants of the program
    about=MONEY,
)

NOTHING_UNSETTLED = nothing_unsettled(
    """(SELECT count(*) FROM auctions_lot LEFT JOIN auctions_win USING (sale_id)
         WHERE sale_id = %(sale_id)s
           AND (auctions_lot.state = 'open' OR auctions_win.state = 'won' AND sales_sale.state = 'cancelled'))""",
)

NONE_SET_ASIDE = none_set_aside("SELECT id FROM auctions_bid WHERE sale_id = %(sale_id)s")

ONE_BID_PER_KEY = Check(
    "one_bid_per_key",
    N_("However often a fan's request was repeated, it made one bid."),
    """
    SELECT 0 AS expected, count(*) AS found
      FROM (SELECT 1 FROM auctions_bid WHERE sale_id = %(sale_id)s
             GROUP BY fan_id, idempotency_key HAVING count(*) > 1) AS doubled
    """,
    about=GOODS,
)

RESERVE_WAS_SEALED = Check(
    "reserve_was_sealed",
    N_("The reserve that rules is the one whose hash was sealed before anybody bid."),
    f"""
    SELECT 1 AS expected, count(*) AS found
      FROM auctions_english JOIN sales_sealedterms USING (sale_id)
     WHERE auctions_english.sale_id = %(sale_id)s
       AND sales_sealedterms.text LIKE '%%reserve_sha256: ' || coalesce({RESERVE_SHA256}, 'none') || E'\\n%%'
    """,  # noqa: S608  # a constant
    about=TERMS,
)

CHECKS = [
    LOG_REPLAYS, ENDED_BY_THE_RULES, NO_BIDS_OF_THE_SHOP, ONE_BID_PER_KEY, IN_TIME, HELD_FOR_THE_LEADER, WIN_ADDS_UP,
    PAID_BY_ITS_FAN, ENDED_FOR_ITS_FAN, PAID_TO_ITS_SELLER, SELLER_CREDITED, AFTERWARDS, REFUNDS, NOTHING_STAYS,
    TERMS_RULE, RESERVE_WAS_SEALED, *COMMON, NOTHING_UNSETTLED, NONE_SET_ASIDE,
]  # fmt: skip
