urlpatterns = []
app_name = "runs"
