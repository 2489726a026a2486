from django.urls import path

from rallies import console_views, views
from sales.mine import mine, receipt

app_name = "rallies"
given = {"format_name": "rally"}
urlpatterns = [
    path("rallies/", mine, given, name="joins"),
    path("rallies/joins/<uuid:id>/", receipt, given, name="receipt"),
    path("rallies/late-joins/<uuid:id>/", receipt, given, name="late_receipt"),
    path("sales/<uuid:sale_id>/join/", views.join, name="join"),
    path("sales/<uuid:sale_id>/leave/", views.leave, name="leave"),
    path("sales/<uuid:sale_id>/join-late/", views.join_late, name="join_late"),
    path("sell/<slug:handle>/joins/<uuid:join_id>/remove/", console_views.remove, name="remove"),
]
