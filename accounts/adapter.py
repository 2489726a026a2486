from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import CLOSED, User, normal_email
from core import language, letters, rate_limit
from core.rate_limit import client_address

FAILURES_MAX = 5
FAILURES_S = 300


def _who(request: HttpRequest, credentials: Mapping[str, Any]) -> str:
    return f"{normal_email(str(credentials.get('email', '')))} {client_address(request)}"


class AccountAdapter(DefaultAccountAdapter):
    """allauth's ways, with our names and our idea of a client's address."""

    def clean_email(self, email: str) -> str:
        email = super().clean_email(normal_email(email))
        if email.endswith(CLOSED):
            raise ValidationError(_("Nobody can have this address."))
        return email

    def render_mail(self, template_prefix: str, email: Any, context: Any, headers: Any = None) -> EmailMessage:
        """allauth's text, and the same in our design."""
        letter = super().render_mail(template_prefix, email, context, headers)
        assert isinstance(letter, EmailMultiAlternatives)
        letter.attach_alternative(letters.as_html(str(letter.subject), str(letter.body)), "text/html")
        return letter

    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:
        """Somebody new is written to in the language that they signed up in."""
        user.language = translation.get_language() or ""
        return super().save_user(request, user, form, commit)  # type: ignore[no-any-return]

    def post_login(self, request: HttpRequest, user: User, **facts: Any) -> HttpResponse:
        """What the user has chosen holds in this browser too."""
        answer = super().post_login(request, user, **facts)
        language.keep(answer, language=user.language, zone=user.zone)
        return answer

    def populate_username(self, request: HttpRequest, user: User) -> None:
        """There are no user names here: the e-mail address is the login."""

    # Wrong passwords are counted for an account and a client together, tightly; and for an account alone so loosely (in settings)
    # that nobody can keep a fan out of a sale by guessing.

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        if rate_limit.used("login", _who(request, credentials), window_s=FAILURES_S) >= FAILURES_MAX:
            audit.note_seldom("locked_out", _who(request, credentials), email=str(credentials.get("email", "")))
            raise self.validation_error("too_many_login_attempts")
        super().pre_authenticate(request, **credentials)

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        rate_limit.count("login", _who(request, credentials), window_s=FAILURES_S)
        super().authentication_failed(request, **credentials)

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """The account alone: the Host that a client writes, with its port, would give it as many counts as there are ports."""
        return normal_email(str(credentials.get("email", "")))

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_address(request)
