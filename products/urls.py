from django.urls import path

from products import views

app_name = "products"
_product = "<uuid:product_id>/"
urlpatterns = [
    path("sell/<slug:handle>/launch/", views.launch, name="launch"),
    path("sell/<slug:handle>/products/", views.catalogue, name="catalogue"),
    path(f"sell/<slug:handle>/products/{_product}", views.product, name="product"),
    path(f"sell/<slug:handle>/products/{_product}away/", views.put_away, name="put_away"),
    # Where larger bodies may come (`dropfront.server`).
    path("pictures/<slug:handle>/products/", views.add, name="add"),
    path(f"pictures/<slug:handle>/products/{_product}", views.upload, name="upload_picture"),
    path(
        f"pictures/<slug:handle>/products/{_product}<uuid:picture_id>/away/",
        views.take_picture_away,
        name="take_picture_away",
    ),
    path(
        f"pictures/<slug:handle>/products/{_product}<uuid:picture_id>/first/",
        views.move_picture_first,
        name="move_picture_first",
    ),
]
