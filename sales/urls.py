from django.urls import path

from sales import views

app_name = "sales"
urlpatterns = [
    path("", views.home, name="home"),
    path("s/<slug:handle>/", views.storefront, name="storefront"),
    path("sales/<uuid:sale_id>/", views.room, name="room"),
    path("sales/<uuid:sale_id>/terms/", views.sealed_terms, name="terms"),
    path("sales/<uuid:sale_id>/remind/", views.remind, name="remind"),
    path("sales/<uuid:sale_id>/remind/not/", views.forget_reminder, name="forget_reminder"),
    path("proof/", views.proof_list, name="proof_list"),
    path("proof/<uuid:sale_id>/", views.proof, name="proof"),
    path("proof/<uuid:sale_id>/again/", views.prove_again, name="prove_again"),
    path("sell/<slug:handle>/", views.console, name="console"),
]
