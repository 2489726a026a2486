from django.urls import path

from sales import growth_views, money_views, picture_views, views
from sales.mine import mine, receipt_on_paper

app_name = "sales"
urlpatterns = [
    path("", views.home, name="home"),
    path("live-cards/", views.live_cards, name="live_cards"),
    path("s/<slug:handle>/", views.storefront, name="storefront"),
    path("s/<slug:handle>/theme.css", views.theme, name="theme"),
    path("s/<slug:handle>/follow/", views.follow, name="follow"),
    path("s/<slug:handle>/follow/not/", views.unfollow, name="unfollow"),
    path("sales/<uuid:sale_id>/", views.room, name="room"),
    path("sales/<uuid:sale_id>/calendar.ics", views.calendar, name="calendar"),
    path("sales/<uuid:sale_id>/terms/", views.sealed_terms, name="terms"),
    path("sales/<uuid:sale_id>/remind/", views.remind, name="remind"),
    path("sales/<uuid:sale_id>/remind/not/", views.forget_reminder, name="forget_reminder"),
    path("things/", mine, name="things"),
    path("things/<uuid:id>/receipt.pdf", receipt_on_paper, name="receipt_pdf"),
    path("proof/", views.proof_list, name="proof_list"),
    path("proof/<uuid:sale_id>/", views.proof, name="proof"),
    path("proof/<uuid:sale_id>/again/", views.prove_again, name="prove_again"),
    # The one part of the site where larger bodies may come (`dropfront.server`).
    path("pictures/<slug:handle>/<uuid:sale_id>/", picture_views.upload, name="upload_picture"),
    path(
        "pictures/<slug:handle>/<uuid:sale_id>/<uuid:picture_id>/away/",
        picture_views.take_away,
        name="take_picture_away",
    ),
    path(
        "pictures/<slug:handle>/<uuid:sale_id>/<uuid:picture_id>/first/",
        picture_views.move_first,
        name="move_picture_first",
    ),
    path("sell/<slug:handle>/growth/", growth_views.page, name="growth"),
    path("sell/<slug:handle>/growth/<slug:what>/<slug:kind>/", growth_views.export, name="export_growth"),
    path("sell/<slug:handle>/money/", money_views.money, name="money"),
    path("sell/<slug:handle>/", views.console, name="console"),
]
