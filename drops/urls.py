app_name = "drops"
urlpatterns = []
