from django.urls import path

from accounts import views

app_name = "accounts"
urlpatterns = [
    path("", views.profile, name="profile"),
    path("close/", views.close, name="close"),
    path("export/", views.export, name="export"),
    path("notifications/", views.notifications, name="notifications"),
    path("notifications/newest/", views.newest_notifications, name="newest_notifications"),
]
