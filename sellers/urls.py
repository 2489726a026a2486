from django.urls import path

from sellers import brand_views, key_views, member_views, views

app_name = "sellers"
urlpatterns = [
    path("sell/", views.shops, name="shops"),
    path("sell/<slug:handle>/brand/", brand_views.brand, name="brand"),
    path("sell/join/<uuid:invitation_id>/", member_views.join, name="join"),
    path("sell/<slug:handle>/keys/", key_views.keys, name="keys"),
    path("sell/<slug:handle>/keys/<uuid:key_id>/revoke/", key_views.revoke, name="revoke_key"),
    path("sell/<slug:handle>/log/", key_views.log, name="log"),
    path("sell/<slug:handle>/followers/", key_views.followers, name="followers"),
    path("sell/<slug:handle>/ask/", views.ask_again, name="ask_again"),
    path("sell/<slug:handle>/members/", member_views.members, name="members"),
    path("sell/<slug:handle>/members/<uuid:member_id>/", member_views.change, name="change_member"),
    path("sell/<slug:handle>/invitations/<uuid:invitation_id>/", member_views.take_back, name="take_back"),
    path("pictures/<slug:handle>/<slug:place>/", brand_views.upload, name="upload"),
]
