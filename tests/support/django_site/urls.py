from django.contrib import admin
from django.urls import path

from tests.support.django_site import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("members/", views.members),
    path("plain/", views.plain),
    path("async/", views.async_members),
    path("async-careless/", views.async_careless),
    path("me/", views.Me.as_view()),
]
