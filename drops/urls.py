from django.urls import path

from drops import console_views, views

app_name = "drops"
urlpatterns = [
    path("sales/<uuid:sale_id>/buy/", views.buy, name="buy"),
    path("orders/", views.orders, name="orders"),
    path("orders/<uuid:order_id>/", views.order, name="order"),
    path("orders/<uuid:order_id>/confirm/", views.confirm, name="confirm"),
    path("orders/<uuid:order_id>/give-back/", views.give_back, name="give_back"),
    path("sell/<slug:handle>/orders/<uuid:order_id>/refund/", console_views.refund, name="refund"),
]
