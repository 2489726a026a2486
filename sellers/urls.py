app_name = "sellers"
urlpatterns = []
