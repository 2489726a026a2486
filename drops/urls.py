from django.urls import path

from drops import views
from sales.mine import mine, receipt

app_name = "drops"
urlpatterns = [
    path("orders/", mine, {"format_name": "drop"}, name="orders"),
    path("orders/<uuid:id>/", receipt, {"format_name": "drop"}, name="order"),
    path("sales/<uuid:sale_id>/buy/", views.buy, name="buy"),
    path("orders/<uuid:id>/confirm/", views.confirm, name="confirm"),
    path("orders/<uuid:id>/give-back/", views.give_back, name="give_back"),
]
