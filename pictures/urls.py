from django.urls import path

from pictures import views

app_name = "pictures"
urlpatterns = [
    path("media/pictures/<uuid:picture_id>/<str:name>", views.serve, name="file"),
]
