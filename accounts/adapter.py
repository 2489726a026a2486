from __future__ import annotations

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest

from accounts.models import User, normal_email
from core.rate_limit import client_address


class AccountAdapter(DefaultAccountAdapter):
    """allauth's ways, with our names and our idea of a client's address."""

    def clean_email(self, email: str) -> str:
        return super().clean_email(normal_email(email))

    def populate_username(self, request: HttpRequest, user: User) -> None:
        """There are no user names here: the e-mail address is the login."""

    def get_client_ip(self, request: HttpRequest) -> str:
        return client_address(request)
