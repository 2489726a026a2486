from django.urls import path

from rallies import console_views, views

app_name = "rallies"
urlpatterns = [
    path("sales/<uuid:sale_id>/join/", views.join, name="join"),
    path("sales/<uuid:sale_id>/leave/", views.leave, name="leave"),
    path("sales/<uuid:sale_id>/join-late/", views.join_late, name="join_late"),
    path("rallies/", views.joins, name="joins"),
    path("rallies/joins/<uuid:join_id>/", views.receipt, name="receipt"),
    path("rallies/late-joins/<uuid:join_id>/", views.late_receipt, name="late_receipt"),
    path("sell/<slug:handle>/joins/<uuid:join_id>/remove/", console_views.remove, name="remove"),
    path("sell/<slug:handle>/joins/<uuid:join_id>/refund/", console_views.refund, name="refund"),
]
