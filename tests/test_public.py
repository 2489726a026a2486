"""What crawlers, browsers and password managers ask for, and the mailbox of a machine without a mail server."""

from __future__ import annotations

import re

import pytest
from django.core import mail
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMultiAlternatives
from django.test import Client

from accounts import services as accounts
from core import clock, mailbox
from dropfront import demo, operations
from drops import services as drops
from tests.tools.shop import drop_terms, make_drop, make_seller

pytestmark = pytest.mark.django_db(transaction=True)


def test_crawlers_are_told_where_to_go_and_where_not():
    robots = Client().get("/robots.txt").content.decode()

    assert "Disallow: /accounts/" in robots
    assert "Sitemap: http://testserver/sitemap.xml" in robots


def test_the_sitemap_names_what_everybody_may_see_and_nothing_else():
    seen = make_drop(seller=make_seller(handle="seen")).sale_id
    off = make_seller(handle="switched-off")
    hidden = make_drop(seller=off).sale_id
    type(off).objects.filter(id=off.id).update(is_active=False)
    draft = drops.draft_drop(**drop_terms(seller=make_seller(), now=clock.now())).sale_id

    text = Client().get("/sitemap.xml").content.decode()

    assert f"/sales/{seen}/" in text
    assert "/s/seen/" in text
    assert not re.search(f"{hidden}|{draft}|switched-off", text)


def test_whoever_finds_a_fault_is_told_whom_to_tell(settings):
    settings.SECURITY_CONTACT = "mailto:security@shop.example"

    said = Client().get("/.well-known/security.txt").content.decode()

    assert re.search(r"^Contact: mailto:security@shop.example$", said, re.MULTILINE)
    assert re.search(r"^Expires: \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", said, re.MULTILINE)


def test_mail_is_read_where_there_is_no_server_and_the_newest_is_kept(settings, tmp_path, monkeypatch):
    settings.EMAIL_FILE_PATH, settings.EMAIL_BACKEND = str(tmp_path / "mail"), "core.mailbox.FolderBackend"
    monkeypatch.setattr(mailbox, "KEPT", 2)
    for number in range(3):
        letter = EmailMultiAlternatives(
            f"Letter {number} ü", "Follow http://testserver/a/?b=1&c=2\n", to=["a@example.org"]
        )
        letter.attach_alternative("<script>alert(1)</script>", "text/html")
        letter.send()

    listed = Client().get("/dev/mail/").content.decode()
    (link,) = re.findall(r'href="(/dev/mail/[\w-]+/)">Letter 2 ü<', listed)
    read = Client().get(link).content.decode()

    assert "Letter 0" not in listed
    assert 'href="http://testserver/a/?b=1&amp;c=2"' in read
    assert "<script>alert" not in read
    assert Client().get("/dev/mail/none/").status_code == 404


def test_production_does_not_start_beside_the_demos_logins(settings):
    operations.refuse_demo_data()
    settings.PRODUCTION = True
    operations.refuse_demo_data()
    accounts.register_verified(email=demo.STAFF.email, password=demo.PASSWORD, is_staff=True)

    with pytest.raises(ImproperlyConfigured):
        operations.refuse_demo_data()
    assert mail.outbox == []
