from django.utils.translation import gettext_noop as N_

from core.errors import Conflict


class TooManyProducts(Conflict):
    code = "too_many_products"
    detail = N_("The catalogue is full. Put something away first.")
