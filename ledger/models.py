from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from dsql.fields import UUIDv7Field

HOUSE = UUID("00000000-0000-7000-8000-000000000001")  # the owner of the house's own accounts


class AccountKind(models.TextChoices):
    WALLET = "wallet", _("Wallet")  # a fan's money; keeps a balance and can never be below zero
    ESCROW = "escrow", _("Sale's money")  # what a sale has taken and not yet paid out
    PROCEEDS = "proceeds", _("Seller's proceeds")
    FEES = "fees", _("House fees")
    FUNDING = "funding", _("Outside world")  # where top-ups come from


# Kinds whose balance stands on the row, guarded. The others only collect: a running balance would be one hot row for everybody.
KEEPS_BALANCE = {AccountKind.WALLET}


class AccountKey(NamedTuple):
    """What finds an account: there is one for each owner, kind and currency.

    Owners of one kind are rows of one table: users have wallets, sales escrow, sellers proceeds, the house the rest. So an owner's
    id may come from outside, as a sale's and a seller's do: whichever is chosen, it is the key of one row there, and an account
    of another kind that has it too, a fan's wallet or the house's fees, is another account. The account's own id is ours.
    """

    owner_id: UUID
    kind: str
    currency: str


class Account(models.Model):
    """Where money is. One per owner, kind and currency."""

    id = UUIDv7Field(primary_key=True)
    owner_id = models.UUIDField()  # a user, seller or sale, or HOUSE
    kind = models.CharField(max_length=10, choices=AccountKind.choices)
    currency = models.CharField(max_length=4)
    keeps_balance = models.BooleanField()
    available_minor = models.BigIntegerField(default=0)
    held_minor = models.BigIntegerField(default=0)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["owner_id", "kind", "currency"], name="one_account_per_owner_kind_currency"
            ),
            models.CheckConstraint(condition=Q(available_minor__gte=0), name="account_available_never_negative"),
            models.CheckConstraint(condition=Q(held_minor__gte=0), name="account_held_never_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.currency} of {self.owner_id}"


class Transfer(models.Model):
    """One move of money between two accounts. Written once, never changed or deleted. `ledger.rules` says what it means."""

    id = UUIDv7Field(primary_key=True)
    journal_id = models.UUIDField()  # transfers that belong together share it
    kind = models.CharField(max_length=8)
    debit_account = models.ForeignKey(Account, models.PROTECT, related_name="debits", db_index=False)
    credit_account = models.ForeignKey(Account, models.PROTECT, related_name="credits", db_index=False)
    amount_minor = models.BigIntegerField()
    held_minor = models.BigIntegerField()
    currency = models.CharField(max_length=4)
    code = models.CharField(max_length=20)
    subject_id = models.UUIDField()
    pending_id = models.UUIDField(null=True)
    expires_at = models.DateTimeField(null=True)
    at = models.DateTimeField()
    # The database's time of the writing transaction's start. A checkpoint goes by it, never by `at`, which callers choose.
    recorded_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount_minor__gte=0), name="transfer_moves_forward"),
            models.CheckConstraint(
                condition=~Q(debit_account=F("credit_account")), name="transfer_has_two_different_accounts"
            ),
            models.CheckConstraint(
                condition=Q(kind="plain", amount_minor__gt=0, held_minor=0)
                | Q(kind="pending", amount_minor=0, held_minor__gt=0)
                | Q(kind="posted", amount_minor__gt=0, held_minor__lt=0, pending_id__isnull=False)
                | Q(kind="voided", amount_minor=0, held_minor__lt=0, pending_id__isnull=False),
                name="transfer_kind_fits_its_numbers",
            ),
        ]
        indexes = [
            models.Index(fields=["debit_account", "at"], name="transfer_by_debit_account"),
            models.Index(fields=["credit_account", "at"], name="transfer_by_credit_account"),
            models.Index(fields=["recorded_at"], name="transfer_by_recording"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.code} {self.amount_minor}/{self.held_minor} {self.currency}"


class Checkpoint(models.Model):
    """The sum of an account's transfers recorded before `until`: a balance is this plus the transfers since."""

    id = UUIDv7Field(primary_key=True)
    account = models.ForeignKey(Account, models.PROTECT, related_name="checkpoints", db_index=False)
    until = models.DateTimeField()
    available_minor = models.BigIntegerField()
    held_minor = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "until"], name="one_checkpoint_per_account_and_time")]

    def __str__(self) -> str:
        return f"{self.account_id} until {self.until}"


class BooksCheckpoint(models.Model):
    """How far the books have been checked: what stood on collecting accounts by the transfers recorded before `until`.

    One row. It only spares work: now and then the books are checked as a whole, without it.
    """

    ONLY = 1

    id = models.IntegerField(primary_key=True, default=ONLY)
    until = models.DateTimeField()
    collected_minor = models.BigIntegerField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="one_checkpoint_of_the_books")]

    def __str__(self) -> str:
        return f"until {self.until}"
