from django.urls import path

from auctions.english import views
from sales.mine import mine, receipt

app_name = "english"
given = {"format_name": "english"}
urlpatterns = [
    path("auctions/won/", mine, given, name="wins"),
    path("auctions/won/<uuid:id>/", receipt, given, name="win"),
    path("sales/<uuid:sale_id>/bid/", views.bid, name="bid"),
]
