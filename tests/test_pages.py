"""The HTML pages over HTTP, as browsers without scripts use them."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any
from urllib.parse import quote
from uuid import UUID

import pytest
from django.contrib.auth.models import AnonymousUser
from django.template import Context, Template
from django.test import Client, RequestFactory
from django.urls import reverse

from accounts.models import User
from core import clock
from core.ids import uuid7
from core.money import Money
from dropfront import views
from drops import services as drops
from drops.models import Drop, Order, OrderState
from live import publisher
from payments import services as payments
from payments.models import TopUp, TopUpState
from payments.providers import Simulated
from sales import prover
from sales import services as sales
from sales.models import Sale, SaleState
from sales.pseudonyms import pseudonym
from sales.templatetags.seal import seal
from sellers import services as sellers
from sellers.models import Role, Seller
from tests.tools import shop
from tests.tools.shop import make_fan, make_seller, wallet

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = dt.timedelta(hours=1)
# What the content security policy stops. Data for scripts it lets pass: nobody runs it.
FORBIDDEN = re.compile(r'\sstyle=|<style|\son[a-z]+=|<script(?![^>]*\s(?:src=|type="application/json"))|javascript:')


# A world to look at


def make_drop(**terms: Any) -> Drop:
    """A published drop that is open by the real clock, which views go by."""
    drop = shop.make_drop(now=clock.now(), **terms)
    flush()
    return drop


def flush() -> None:
    """Pages are rendered from frames, which are sent in the background."""
    assert publisher.flush(10)


def logged_in(user_id: UUID, **options: Any) -> Client:
    client = Client(**options)
    client.force_login(User.objects.get(id=user_id))
    return client


def room_url(drop: Drop) -> str:
    return reverse("sales:room", args=[drop.sale_id])


def console_url(drop: Drop, name: str = "console") -> str:
    return reverse(f"drops:{name}", args=[drop.sale.seller.handle, drop.sale_id])


def buy(client: Client, drop: Drop, *, quantity: int | str = 1, key: UUID | None = None, **more: Any) -> Any:
    form = {"key": str(key or uuid7()), "quantity": quantity, **more}
    return client.post(reverse("drops:buy", args=[drop.sale_id]), form)


def place(drop: Drop, fan_id: UUID, quantity: int = 1, *, hold: bool = False) -> UUID:
    return shop.buy(drop, fan_id, quantity, hold=hold, at=clock.now()).id


def settle(drop: Drop) -> None:
    now = clock.now()
    sales.close_sale_early(seller_id=drop.sale.seller_id, sale_id=drop.sale_id, now=now)
    while next_at := sales.settle_step(sale_id=drop.sale_id, now=now):
        now = max(now, next_at)  # ends: each step pays some orders, or says when some can no longer be given back
    flush()


def text_of(response: Any) -> str:
    """What a reader sees of the page: without tags, scripts' templates and what is hidden."""
    html = re.sub(r"(?s)<(head|script|template)\b.*?</\1>", " ", response.content.decode())
    html = re.sub(r"(?s)<(p|section)\b[^>]*\shidden\b[^>]*>.*?</\1>", " ", html)
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


# The home page and the storefront


def test_the_home_page_says_so_when_nothing_is_on_sale(client: Client) -> None:
    assert "Nothing is on sale right now" in text_of(client.get("/"))


def test_the_home_page_sorts_sales_by_where_they_stand(client: Client) -> None:
    now = clock.now()
    make_drop(title="An open print", price_minor=2_450, units_total=7)
    make_drop(title="A coming print", opens_at=now + HOUR, closes_at=now + 2 * HOUR)
    settle(make_drop(title="A settled print"))

    page = text_of(client.get("/"))
    page = page[page.index("On sale now") :]  # above it the hottest one stands again

    order = ["On sale now", "An open print", "€24.50", "7 of 7 left", "Opening soon", "A coming print", "opens in"]
    order += ["Recently sold", "A settled print"]
    places = [page.index(words) for words in order]
    assert places == sorted(places)


def test_a_storefront_shows_only_its_own_sales(client: Client) -> None:
    ours = make_drop(title="Our print")
    make_drop(title="Their print")

    page = text_of(client.get(reverse("sales:storefront", args=[ours.sale.seller.handle])))

    assert "Our print" in page
    assert "Their print" not in page


def test_a_missing_shop_is_a_404(client: Client) -> None:
    assert client.get("/s/nobody/").status_code == 404


# The room


def test_a_room_shows_price_stock_and_terms_to_everybody(client: Client) -> None:
    drop = make_drop(title="A print", price_minor=2_450, units_total=7, limit_per_fan=2, hold_s=90, cancel_s=600)

    page = text_of(client.get(room_url(drop)))

    for words in ("A print", "€24.50 each", "7 of 7 left", "2 for each fan", "for 1 min 30 s", "within 10 min"):
        assert words in page
    assert drop.sale.terms_sha256 in page


def test_a_room_sends_strangers_to_a_login_that_leads_back(client: Client) -> None:
    drop = make_drop()

    page = client.get(room_url(drop)).content.decode()

    assert f'href="/accounts/login/?next={quote(room_url(drop), safe="")}"' in page
    assert "data-buy-token" not in page


def test_a_fan_with_an_unconfirmed_address_is_told_so(client: Client) -> None:
    drop = make_drop()
    client.force_login(User.objects.create_user("new@example.org"))

    assert "Confirm your e-mail address to buy" in text_of(client.get(room_url(drop)))
    assert buy(client, drop).status_code == 403
    assert Order.objects.count() == 0


def test_a_sold_out_room_says_so(client: Client) -> None:
    drop = make_drop(units_total=1)
    place(drop, make_fan(funds=1_000))
    flush()

    page = text_of(client.get(room_url(drop)))

    assert "0 of 1 left" in page
    assert "Sold out." in page


def test_a_settled_room_leads_to_its_proof(client: Client) -> None:
    drop = make_drop(units_total=1)
    place(drop, make_fan(funds=1_000))
    settle(drop)

    response = client.get(room_url(drop))

    assert "All 1 sold Each at the same price. Settled." in text_of(response)
    assert f'href="/proof/{drop.sale_id}/"' in response.content.decode()


def test_a_called_off_room_says_what_happens_to_the_money(client: Client) -> None:
    drop = make_drop()
    sales.cancel_sale(seller_id=drop.sale.seller_id, sale_id=drop.sale_id, now=clock.now())
    flush()

    assert "Everybody who paid gets all of it back." in text_of(client.get(room_url(drop)))


def test_a_room_is_right_while_the_store_of_frames_is_down(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from live import store

    def down(sale_id: UUID) -> None:
        raise OSError

    monkeypatch.setattr(store, "latest", down)
    drop = make_drop(units_total=7)

    assert "7 of 7 left" in text_of(client.get(room_url(drop)))


def test_the_terms_page_shows_the_sealed_text_and_its_hash(client: Client) -> None:
    drop = make_drop(price_minor=2_450)

    page = text_of(client.get(reverse("sales:terms", args=[drop.sale_id])))

    assert "price_minor: 2450" in page
    assert drop.sale.terms_sha256 in page


# Buying without scripts


def test_buying_leads_to_the_receipt() -> None:
    drop = make_drop(units_total=3)
    fan_id = make_fan(funds=5_000)
    client = logged_in(fan_id)

    response = buy(client, drop, quantity=2)

    order = Order.objects.get()
    assert response["Location"] == reverse("drops:order", args=[order.id])
    assert (order.quantity, order.state, order.fan_id) == (2, OrderState.PAID, fan_id)
    assert wallet(fan_id).available_minor == 3_000
    receipt = text_of(client.get(response["Location"]))
    for words in (
        "2 \N{MULTIPLICATION SIGN} €10.00",
        "€20.00",
        "Paid",
        str(order.id),
        str(order.transfer_id),
        drop.sale.terms_sha256,
    ):
        assert words in receipt


def test_sending_the_form_twice_makes_one_order() -> None:
    drop = make_drop()
    fan_id = make_fan(funds=5_000)
    client, key = logged_in(fan_id), uuid7()

    first, second = buy(client, drop, key=key), buy(client, drop, key=key)

    assert first["Location"] == second["Location"]
    assert Order.objects.count() == 1
    assert wallet(fan_id).available_minor == 4_000


def test_the_same_page_sent_for_another_quantity_is_explained() -> None:
    drop = make_drop()
    client, key = logged_in(make_fan(funds=5_000)), uuid7()
    buy(client, drop, key=key)

    response = buy(client, drop, quantity=2, key=key)

    assert response.status_code == 422
    assert "You have already ordered from this page." in text_of(response)
    assert str(key) not in response.content.decode()  # the next try is another purchase
    assert Order.objects.count() == 1


def test_refusals_are_shown_in_the_room() -> None:
    drop = make_drop(units_total=3, limit_per_fan=2)
    poor, keen = logged_in(make_fan(funds=400)), logged_in(make_fan(funds=5_000))

    no_money, over_limit = buy(poor, drop), buy(keen, drop, quantity=3)

    assert no_money.status_code == 409
    assert "There is not enough money in the wallet" in text_of(no_money)
    top_up = f"/pay/?amount=6.00&amp;currency=EUR&amp;next=%2Fsales%2F{drop.sale_id}%2F"
    assert f'href="{top_up}"' in no_money.content.decode()
    assert over_limit.status_code == 409
    assert "You have 0 of 2." in text_of(over_limit)
    assert Order.objects.count() == 0


def test_a_drop_that_sells_out_meanwhile_is_refused() -> None:
    drop = make_drop(units_total=1)
    place(drop, make_fan(funds=1_000))

    response = buy(logged_in(make_fan(funds=1_000)), drop)

    assert response.status_code == 409
    assert "Fewer units are left than you asked for." in text_of(response)


@pytest.mark.parametrize(
    "quantity", ["", "0", "-1", "1.0", "1_0", "\N{FULLWIDTH DIGIT ONE}", "1e1", "1001", "10000000000000000000"]
)
def test_a_quantity_that_is_no_plain_number_is_refused(quantity: str) -> None:
    drop = make_drop()

    response = buy(logged_in(make_fan(funds=5_000)), drop, quantity=quantity)

    assert response.status_code == 422
    assert Order.objects.count() == 0


def test_a_form_without_the_csrf_token_changes_nothing() -> None:
    drop = make_drop()

    response = buy(logged_in(make_fan(funds=5_000), enforce_csrf_checks=True), drop)

    assert response.status_code == 403
    assert "nothing was changed" in text_of(response)
    assert Order.objects.count() == 0


def test_coming_back_from_a_login_in_between_leads_to_the_page_of_the_button() -> None:
    drop = make_drop()
    fan_id = make_fan(funds=5_000)
    order_id = place(drop, fan_id)
    url = reverse("drops:buy", args=[drop.sale_id])

    assert Client().post(url)["Location"] == f"/accounts/login/?next={url}"
    assert logged_in(fan_id).get(url)["Location"] == room_url(drop)
    receipt = reverse("drops:order", args=[order_id])
    assert logged_in(fan_id).get(f"{receipt}confirm/")["Location"] == receipt


# Orders


def test_a_hold_is_confirmed_from_the_room() -> None:
    drop = make_drop(hold_s=600)
    fan_id = make_fan(funds=1_000)
    client = logged_in(fan_id)
    buy(client, drop, hold="1")
    order = Order.objects.get()
    assert "Confirm and pay" in text_of(client.get(room_url(drop)))

    response = client.post(reverse("drops:confirm", args=[order.id]), {"from": "room"})

    assert response["Location"] == room_url(drop)
    order.refresh_from_db()
    assert order.state == OrderState.PAID
    assert (wallet(fan_id).available_minor, wallet(fan_id).held_minor) == (0, 0)
    assert "Confirm and pay" not in text_of(client.get(room_url(drop)))


def test_an_order_is_given_back_while_the_terms_allow() -> None:
    drop = make_drop(cancel_s=600)
    fan_id = make_fan(funds=1_000)
    client, order_id = logged_in(fan_id), place(drop, fan_id)
    assert "Give back" in text_of(client.get("/orders/"))

    response = client.post(reverse("drops:give_back", args=[order_id]), follow=True)

    assert "your money is in your wallet" in text_of(response)
    assert Order.objects.get().state == OrderState.REFUNDED
    assert wallet(fan_id).available_minor == 1_000


def test_an_order_that_cannot_be_given_back_has_no_button_and_is_refused() -> None:
    drop = make_drop(cancel_s=0)
    fan_id = make_fan(funds=1_000)
    client, order_id = logged_in(fan_id), place(drop, fan_id)

    assert "Give back" not in text_of(client.get(reverse("drops:order", args=[order_id])))
    assert client.post(reverse("drops:give_back", args=[order_id])).status_code == 409
    assert wallet(fan_id).available_minor == 0


def test_somebody_elses_receipt_is_missing() -> None:
    order_id = place(make_drop(hold_s=60), make_fan(funds=1_000), hold=True)
    stranger = logged_in(make_fan())

    assert stranger.get(reverse("drops:order", args=[order_id])).status_code == 404
    assert stranger.post(reverse("drops:confirm", args=[order_id])).status_code == 404
    assert stranger.post(reverse("drops:give_back", args=[order_id])).status_code == 404
    assert Order.objects.get().state == OrderState.HELD


# The wallet


def start_top_up(client: Client, **form: Any) -> Any:
    return client.post("/pay/", {"top_up_id": str(uuid7()), "amount": "25.50", "currency": "EUR", **form})


def test_a_top_up_counts_once_however_often_pay_is_pressed() -> None:
    fan_id = make_fan()
    client = logged_in(fan_id)
    page = start_top_up(client)["Location"]
    assert "no real money moves" in text_of(client.get(page))

    for _ in range(2):
        assert client.post(page, {"answer": "pay"})["Location"] == "/wallet/"

    assert wallet(fan_id).available_minor == 2_550
    assert "Added to the wallet" in text_of(client.get("/wallet/"))
    assert "+€25.50" in text_of(client.get("/wallet/"))


def test_a_declined_top_up_moves_nothing() -> None:
    fan_id = make_fan()
    client = logged_in(fan_id)

    response = client.post(start_top_up(client)["Location"], {"answer": "decline"}, follow=True)

    assert "The payment was declined" in text_of(response)
    assert TopUp.objects.get().state == TopUpState.FAILED
    assert wallet(fan_id).available_minor == 0


def test_after_paying_the_fan_is_back_where_the_money_was_missing() -> None:
    drop = make_drop()
    client = logged_in(make_fan())

    page = start_top_up(client, next=room_url(drop))["Location"]

    assert client.post(page, {"answer": "pay"})["Location"] == room_url(drop)


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example/", "javascript:alert(1)"])
def test_paying_never_leads_to_another_site(elsewhere: str) -> None:
    client = logged_in(make_fan())

    page = start_top_up(client, next=elsewhere)["Location"]

    assert client.post(page, {"answer": "pay"})["Location"] == "/wallet/"


@pytest.mark.parametrize(
    "amount",
    [
        "",
        "0.99",
        "1000.01",
        "-5",
        "1,500",
        "1_0",
        "\N{FULLWIDTH DIGIT ONE}2",
        "1e2",
        "NaN",
        "10.555",
        "99999999999999999",
    ],
)
def test_an_amount_that_is_not_taken_is_kept_and_explained(amount: str) -> None:
    response = start_top_up(logged_in(make_fan()), amount=amount)

    assert response.status_code == 422
    assert 'id="id_amount_error"' in response.content.decode()
    assert f'value="{amount}"' in response.content.decode() or not amount
    assert TopUp.objects.count() == 0


def test_somebody_elses_payment_is_missing() -> None:
    page = start_top_up(logged_in(make_fan()))["Location"]
    stranger = logged_in(make_fan())

    assert stranger.get(page).status_code == 404
    assert stranger.post(page, {"answer": "pay"}).status_code == 404
    assert TopUp.objects.get().state == TopUpState.STARTED


def test_a_real_providers_payment_cannot_be_simulated() -> None:
    fan_id = make_fan()
    top_up = payments.start_top_up(top_up_id=uuid7(), user_id=fan_id, amount=Money(2_550, "EUR"), now=clock.now())
    TopUp.objects.update(provider="another")

    assert logged_in(fan_id).post(Simulated().checkout_url(top_up), {"answer": "pay"}).status_code == 404
    assert wallet(fan_id).available_minor == 0


# Selling


def open_shop(client: Client, **form: Any) -> Any:
    return client.post("/sell/", {"seller_id": str(uuid7()), "name": "North", "handle": "north", "about": "", **form})


def test_a_shop_is_opened() -> None:
    response = open_shop(logged_in(make_fan()))

    assert response["Location"] == "/sell/north/"
    assert Seller.objects.get().handle == "north"


@pytest.mark.parametrize(
    ("typed", "handle"),
    [("North Ern", "north-ern"), ("-north-", "north"), ("Nörth Café!", "north-cafe"), ("n" * 41, "n" * 40)],
)
def test_a_handle_is_taken_as_it_stands_in_an_address(typed: str, handle: str) -> None:
    assert open_shop(logged_in(make_fan()), handle=typed).status_code == 302
    assert Seller.objects.get().handle == handle


@pytest.mark.parametrize("handle", ["", "No", "--", "日本語", "!!!"])
def test_a_handle_that_makes_no_address_is_explained(handle: str) -> None:
    response = open_shop(logged_in(make_fan()), handle=handle)

    assert response.status_code == 422
    assert 'id="id_handle_error"' in response.content.decode()
    assert Seller.objects.count() == 0


def test_a_taken_handle_is_explained() -> None:
    make_seller(handle="north")

    response = open_shop(logged_in(make_fan()))

    assert response.status_code == 422
    assert "belongs to another shop" in text_of(response)


def draft_form(**more: Any) -> dict[str, Any]:
    closes_at = clock.now() + HOUR
    return {
        "sale_id": str(uuid7()), "title": "A map", "story": "Line one.", "price": "24.50", "currency": "EUR",
        "units_total": "12", "limit_per_fan": "", "hold_minutes": "2", "give_back_minutes": "0", "opens": "now",
        "opens_at": "", "closes_at": f"{closes_at:%Y-%m-%dT%H:%M}", **more,
    }  # fmt: skip


def test_a_drop_is_drafted_looked_over_and_published() -> None:
    owner_id = make_fan()
    seller, client = make_seller(owner_id=owner_id), logged_in(owner_id)

    url = client.post(reverse("drops:new", args=[seller.handle]), draft_form())["Location"]
    draft = Drop.objects.select_related("sale").get()
    preview = text_of(client.get(url))
    client.post(f"{url}publish/")

    assert (draft.price_minor, draft.units_total, draft.limit_per_fan, draft.hold_s) == (2_450, 12, None, 120)
    assert draft.sale.state == SaleState.DRAFT
    assert "price_minor: 2450" in preview
    assert "Publishing seals these terms" in preview
    sale = Sale.objects.get()
    assert (sale.state, len(sale.terms_sha256)) == (SaleState.SCHEDULED, 64)
    flush()
    assert "A map" in text_of(client.get(f"/sell/{seller.handle}/"))
    assert "0 of 12" in text_of(client.get(f"/sell/{seller.handle}/"))


@pytest.mark.parametrize(
    ("field", "value", "marked"),
    [
        ("title", "", "title"),
        ("price", "0", "price"),
        ("price", "2,450", "price"),
        ("price", "\N{FULLWIDTH DIGIT TWO}4", "price"),
        ("currency", "PLAY", "currency"),
        ("units_total", "0", "units_total"),
        ("units_total", "1_0", "units_total"),
        ("units_total", "10000001", "units_total"),
        ("limit_per_fan", "0", "limit_per_fan"),
        ("hold_minutes", "61", "hold_minutes"),
        ("give_back_minutes", "-1", "give_back_minutes"),
        ("opens", "at", "opens_at"),
        ("closes_at", "2020-01-01T00:00", "closes_at"),
        ("closes_at", "soon", "closes_at"),
    ],
)
def test_a_mistake_in_the_form_is_shown_beside_its_field(field: str, value: str, marked: str) -> None:
    owner_id = make_fan()
    seller = make_seller(owner_id=owner_id)

    response = logged_in(owner_id).post(reverse("drops:new", args=[seller.handle]), draft_form(**{field: value}))

    assert response.status_code == 422
    page = response.content.decode()
    assert set(re.findall(r'id="id_(\w+)_error"', page)) == {marked}
    assert 'value="A map"' in page or field == "title"
    assert Drop.objects.count() == 0


def test_the_story_is_text_not_markup(client: Client) -> None:
    drop = make_drop(story="<script>alert(1)</script> <b>bold</b>")

    page = client.get(room_url(drop)).content.decode()

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<b>bold</b>" not in page


def test_a_viewer_may_look_and_not_change() -> None:
    seller, viewer_id = make_seller(), make_fan()
    sellers.set_member(seller_id=seller.id, user_id=viewer_id, role=Role.VIEWER)
    drop = make_drop(seller=seller)
    order_id = place(drop, make_fan(funds=1_000))
    client = logged_in(viewer_id)

    page = client.get(console_url(drop))

    assert page.status_code == 200
    assert "Refund Fan" not in text_of(page)
    for url in (
        console_url(drop, "close"),
        console_url(drop, "cancel"),
    ):
        assert client.get(url).status_code == 403
        assert client.post(url).status_code == 403
    order = f"{console_url(drop)}orders/{order_id}/"
    assert "Give it back" not in text_of(client.get(order))
    assert client.post(order, {"number": 1, "amount": "10.00"}).status_code == 403
    drop.sale.refresh_from_db()
    assert drop.sale.state == SaleState.SCHEDULED
    assert Order.objects.get().state == OrderState.PAID


def test_another_shops_drop_is_missing() -> None:
    stranger_id = make_fan()
    stranger, drop = make_seller(owner_id=stranger_id), make_drop()
    client = logged_in(stranger_id)

    assert client.get(console_url(drop)).status_code == 404
    for name in ("console", "close", "cancel", "publish"):
        # Neither at its own address nor under the stranger's.
        assert client.post(reverse(f"drops:{name}", args=[stranger.handle, drop.sale_id])).status_code in (404, 405)
    drop.sale.refresh_from_db()
    assert drop.sale.state == SaleState.SCHEDULED


def owned_drop(**terms: Any) -> tuple[Client, Drop]:
    owner_id = make_fan()
    return logged_in(owner_id), make_drop(seller=make_seller(owner_id=owner_id), **terms)


def test_a_seller_sees_orders_without_names_and_refunds_one() -> None:
    client, drop = owned_drop()
    fan_id = make_fan(funds=1_000)
    order_id = place(drop, fan_id)

    page = client.get(console_url(drop))
    client.post(f"{console_url(drop)}orders/{order_id}/", {"number": 1, "amount": "10.00"})

    assert pseudonym(drop.sale_id, fan_id) in text_of(page)
    assert "€10.00" in text_of(page)
    assert User.objects.get(id=fan_id).email not in page.content.decode()
    assert Order.objects.get().state == OrderState.REFUNDED
    assert wallet(fan_id).available_minor == 1_000


# The proof


def test_the_proof_shows_every_check_with_sql_to_paste(client: Client) -> None:
    drop = make_drop(units_total=2)
    fan_id = make_fan(funds=1_000)
    place(drop, fan_id)
    settle(drop)
    prover.prove_now(drop.sale)

    response = client.get(f"/proof/{drop.sale_id}/")

    page = text_of(response)
    assert re.search(r"All \d+ checks hold\.", page)
    assert "Anyone with read access to the database" in page
    assert "PostgreSQL" in page
    assert f"drops_drop.sale_id = &#x27;{drop.sale_id}&#x27;" in response.content.decode()
    assert pseudonym(drop.sale_id, fan_id) in page
    assert User.objects.get(id=fan_id).email not in page
    assert "units sold of 2" in page


@pytest.mark.tampers
def test_a_broken_check_is_shown_as_broken(client: Client) -> None:
    drop = make_drop(units_total=2)
    place(drop, make_fan(funds=1_000))
    settle(drop)
    Order.objects.update(quantity=5)
    prover.prove_now(drop.sale)

    assert "A check does not hold." in text_of(client.get(f"/proof/{drop.sale_id}/"))
    assert "✕ Broken" in text_of(client.get("/proof/"))


def test_the_list_of_proofs_marks_each_settled_sale_and_the_books(client: Client) -> None:
    settle(make_drop(title="A settled print"))
    make_drop(title="A running print")
    assert "A settled print A shop" in (unchecked := text_of(client.get("/proof/")))
    assert "All hold" not in unchecked
    prover.fulfil_wishes()

    page = text_of(client.get("/proof/"))

    assert re.search(r"A settled print .* ✓ All hold", page)
    assert "A running print" not in page
    assert "The books balance, to the unit." in page


def test_proofs_are_not_shown_without_end_to_one_address(client: Client) -> None:
    # Twice what a minute allows, because the minute may end in between.
    statuses = {client.get("/proof/", REMOTE_ADDR="203.0.113.77").status_code for _ in range(121)}
    assert statuses == {200, 429}


# Every page


def test_no_page_has_what_the_content_security_policy_forbids() -> None:
    owner_id = make_fan(funds=100_000)
    seller = make_seller(owner_id=owner_id)
    drop, past = make_drop(seller=seller, hold_s=60, cancel_s=60), make_drop(seller=seller)
    order_id = place(drop, owner_id, hold=True)
    settle(past)
    draft = drops.draft_drop(**shop.drop_terms(seller=seller, now=clock.now()))
    client = logged_in(owner_id)
    urls = [
        "/", f"/s/{seller.handle}/", room_url(drop), room_url(past), f"{room_url(drop)}terms/", "/proof/",
        f"/proof/{past.sale_id}/", "/orders/", f"/orders/{order_id}/", "/wallet/", "/pay/", "/account/", "/sell/",
        f"/sell/{seller.handle}/", f"/sell/{seller.handle}/drops/new/", console_url(drop), console_url(draft),
        console_url(drop, "close"), console_url(drop, "cancel"), start_top_up(client)["Location"],
        f"{console_url(drop)}orders/{order_id}/", "/accounts/email/", "/accounts/password/set/",
        "/accounts/logout/",
    ]  # fmt: skip
    strangers = ["/accounts/login/", "/accounts/signup/", "/accounts/password/reset/", "/accounts/confirm-email/"]

    for visitor, url in [(client, url) for url in urls] + [(Client(), url) for url in strangers]:
        response = visitor.get(url)
        assert response.status_code == 200, url
        assert "default-src 'none'" in response["Content-Security-Policy"]
        page = response.content.decode()
        assert FORBIDDEN.findall(page) == [], url
        assert page.count("<h1") == 1, url


def test_a_page_for_one_person_is_not_kept_by_caches() -> None:
    response = logged_in(make_fan()).get("/")
    assert response["Cache-Control"] == "private, no-store"


def test_pages_that_need_a_login_ask_for_one(client: Client) -> None:
    for url in ("/orders/", "/wallet/", "/pay/", "/sell/", "/account/", "/sell/north/"):
        assert client.get(url)["Location"] == f"/accounts/login/?next={url}"


def test_the_name_is_changed() -> None:
    fan_id = make_fan()

    logged_in(fan_id).post("/account/", {"display_name": "Ada"})

    assert User.objects.get(id=fan_id).display_name == "Ada"


def test_a_missing_page_is_ours(client: Client) -> None:
    response = client.get("/no/such/page/")

    assert response.status_code == 404
    assert "Nothing here" in text_of(response)


def test_the_page_for_our_own_mistakes_asks_nobody_anything(django_assert_num_queries: Any) -> None:
    request = RequestFactory().get("/")
    request.user = AnonymousUser()

    with django_assert_num_queries(0):
        failed, bad = views.server_error(request), views.bad_request(request, ValueError())

    assert (failed.status_code, bad.status_code) == (500, 400)
    assert "went wrong on our side" in text_of(failed)


def test_staff_see_orders_and_transfers_and_change_none() -> None:
    place(make_drop(), make_fan(funds=1_000))
    staff = User.objects.create_superuser("staff@example.org")
    client = logged_in(staff.id)

    for model in (
        "sales/sale",
        "drops/drop",
        "drops/order",
        "sales/proofrun",
        "ledger/transfer",
        "ledger/account",
        "payments/topup",
    ):
        assert client.get(f"/staff/{model}/").status_code == 200, model
        assert client.get(f"/staff/{model}/add/").status_code == 403, model
    order_id = Order.objects.get().id
    assert client.get(f"/staff/drops/order/{order_id}/change/").status_code == 200
    assert client.post(f"/staff/drops/order/{order_id}/change/", {"state": "refunded"}).status_code == 403
    assert client.post(f"/staff/drops/order/{order_id}/delete/", {"post": "yes"}).status_code == 403


# Tags


def test_a_seal_is_the_same_for_the_same_terms_only() -> None:
    one, other = "3f" * 32, "3e" * 32
    assert seal(one) == seal(one)
    assert seal(one) != seal(other)
    assert "seal--blank" in seal("")


def test_money_and_times_read_well() -> None:
    source = (
        "{% load money times %}{{ amount|money }} {{ 5|money:'JPY' }} {{ minus|signed_money:'EUR' }} {{ 90|duration }}"
    )
    template = Template(source + " {% moment at %}")

    text = template.render(Context({"amount": Money(123_456, "EUR"), "minus": -250, "at": shop.NOW}))

    assert text.startswith("€1,234.56 ¥5 −€2.50 1 min 30 s ")  # noqa: RUF001  # a true minus sign
    assert '<time datetime="2026-03-02T12:00:00+00:00" data-moment>2 Mar 2026, 12:00 UTC</time>' in text
