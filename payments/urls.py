from django.urls import path

from payments import views

app_name = "payments"
urlpatterns = [
    path("", views.start, name="start"),
    path("simulated/<uuid:top_up_id>/", views.simulated, name="simulated"),
]
