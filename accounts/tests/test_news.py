"""News by mail: only to who wishes, of the kind that is wished for, once."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.test import Client

from accounts import closing, news, services
from accounts.models import MailWish, NewsKind, Notification, User
from accounts.services import Message
from core import clock, due_work
from core.transactions import in_transaction
from sellers import services as sellers
from sellers.models import Follow
from tests.tools.shop import make_fan, make_seller

pytestmark = pytest.mark.django_db(transaction=True)


def tell(*fans: UUID, key: str = "k", kind: NewsKind = NewsKind.SALES) -> None:
    told = [Message(fan, "A print is open", "You asked.", "/sales/x/", kind) for fan in fans]
    in_transaction(lambda: services.notify(told, key=key, now=clock.now()), name="test")


def mailed() -> list[str]:
    due_work.run_due()
    return sorted(to for letter in mail.outbox for to in letter.to)


def email_of(fan: UUID) -> str:
    return User.objects.get(id=fan).email


def test_only_who_wishes_gets_mail_and_once() -> None:
    one, other = make_fan(), make_fan()
    services.wish_for_mail(user_id=one, kinds=[NewsKind.SALES])
    tell(one, other)
    tell(one, other)  # the same again
    assert mailed() == [email_of(one)]
    assert "/sales/x/" in mail.outbox[0].body
    assert Notification.objects.count() == 2
    assert mailed() == [email_of(one)]


def test_another_kind_is_not_mailed() -> None:
    fan = make_fan()
    services.wish_for_mail(user_id=fan, kinds=[NewsKind.SALES])
    tell(fan, kind=NewsKind.MINE)
    assert mailed() == []


def test_all_of_a_long_list_is_mailed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(news, "MAILS_A_STEP", 2)
    fans = [make_fan() for _ in range(5)]
    for fan in fans:
        services.wish_for_mail(user_id=fan, kinds=list(NewsKind))
    tell(*fans)
    for _ in range(4):
        due_work.run_due()
    assert mailed() == sorted(email_of(fan) for fan in fans)


def test_an_address_that_is_not_confirmed_gets_nothing() -> None:
    fan = make_fan()
    services.wish_for_mail(user_id=fan, kinds=[NewsKind.SALES])
    tell(fan)
    EmailAddress.objects.filter(user_id=fan).update(verified=False)
    assert mailed() == []


def test_a_mail_server_that_is_away_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    fan, next_fan = make_fan(), make_fan()
    for each in (fan, next_fan):
        services.wish_for_mail(user_id=each, kinds=[NewsKind.SALES])
    tried: list[str] = []

    def refuse(mail: EmailMultiAlternatives) -> None:
        tried.extend(mail.to)
        raise ConnectionRefusedError

    with monkeypatch.context() as away:
        away.setattr(EmailMultiAlternatives, "send", refuse)
        tell(fan, next_fan)
        assert mailed() == []
    assert sorted(tried) == sorted(email_of(each) for each in (fan, next_fan))
    soon = clock.now() + news.AGAIN + dt.timedelta(seconds=1)
    assert news.mail_step(now=soon) is None
    assert mailed() == sorted(tried)  # it was only late


def test_what_is_no_news_any_more_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    fan = make_fan()
    services.wish_for_mail(user_id=fan, kinds=[NewsKind.SALES])
    monkeypatch.setattr(EmailMultiAlternatives, "send", lambda mail: (_ for _ in ()).throw(ConnectionRefusedError()))
    tell(fan)
    assert news.mail_step(now=clock.now() + news.STALE + dt.timedelta(seconds=1)) is None
    assert not Notification.objects.filter(mail_due_at__isnull=False).exists()


def test_a_slow_mail_server_does_not_keep_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    fans = [make_fan() for _ in range(3)]
    for fan in fans:
        services.wish_for_mail(user_id=fan, kinds=[NewsKind.SALES])
    tell(*fans)
    monkeypatch.setattr(news, "STEP_S", -1.0)  # as if the first had used it up
    now = clock.now() + dt.timedelta(seconds=1)
    assert news.mail_step(now=now) == now
    assert mail.outbox == []


def test_a_closed_account_leaves_no_wish_and_follows_nobody() -> None:
    fan = make_fan()
    services.wish_for_mail(user_id=fan, kinds=list(NewsKind))
    sellers.follow(seller_id=make_seller().id, fan_id=fan, now=clock.now())
    closing.close_account(user_id=fan, now=clock.now())
    assert not MailWish.objects.exists()
    assert not Follow.objects.exists()


def test_the_wish_is_kept_by_the_page() -> None:
    fan = make_fan()
    client = Client()
    client.force_login(User.objects.get(id=fan))
    client.post("/account/notifications/", {"mail": ["sales", "nonsense"]})
    page = client.get("/account/notifications/").content.decode()
    assert 'value="sales" checked' in page
    assert 'value="mine" checked' not in page
    client.post("/account/notifications/", {})
    assert '" checked' not in client.get("/account/notifications/").content.decode()
