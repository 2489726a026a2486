from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from products.models import STORY_MAX, TITLE_MAX


class ProductForm(forms.Form):
    title = forms.CharField(label=_("Name"), max_length=TITLE_MAX, widget=forms.TextInput(attrs={"dir": "auto"}))
    story = forms.CharField(
        label=_("Story"), max_length=STORY_MAX, required=False, widget=forms.Textarea(attrs={"rows": 4, "dir": "auto"}),
        help_text=_("What it is, how it was made, how it ships. Plain text."),
    )  # fmt: skip


class NewProductForm(ProductForm):
    # Made when the page is rendered, so that sending the form twice makes one.
    product_id = forms.UUIDField(widget=forms.HiddenInput)
