from django.urls import path

from sellers import brand_views, views

app_name = "sellers"
urlpatterns = [
    path("sell/", views.shops, name="shops"),
    path("sell/<slug:handle>/brand/", brand_views.brand, name="brand"),
    path("pictures/<slug:handle>/<slug:place>/", brand_views.upload, name="upload"),
]
