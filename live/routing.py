from __future__ import annotations

from django.urls import path

from live.consumers import SaleConsumer

websocket_urlpatterns = [path("ws/sales/<uuid:sale_id>/", SaleConsumer.as_asgi())]
