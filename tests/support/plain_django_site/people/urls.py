from django.shortcuts import render
from django.urls import path

from people.models import Person

urlpatterns = [path("", lambda request: render(request, "people.html", {"people": Person.objects.order_by("pk")}))]
