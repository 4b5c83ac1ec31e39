from django.contrib.auth.models import AbstractUser
from django.db import models


class Person(AbstractUser):
    born = models.IntegerField(default=2000)
    friends = models.ManyToManyField("self")
    picture = models.ImageField(upload_to="pictures", blank=True)
