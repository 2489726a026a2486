from django.urls import path

from auctions.dutch import views
from sales.mine import mine, receipt

app_name = "dutch"
given = {"format_name": "dutch"}
urlpatterns = [
    path("auctions/claims/", mine, given, name="claims"),
    path("auctions/claims/<uuid:id>/", receipt, given, name="claim"),
    path("sales/<uuid:sale_id>/claim/", views.claim, name="claim_units"),
]
