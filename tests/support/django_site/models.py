from django.contrib.auth.models import AbstractUser
from django.db import models

from nightlight_django.fields import NightlightImageField


class Member(AbstractUser):
    """An account: its picture is its own field."""

    age_band = models.CharField(max_length=20, default="unknown")
    friends = models.ManyToManyField("self", blank=True)
    picture = NightlightImageField(blank=True)


class Club(models.Model):
    """An object whose key is text, and is the account itself."""

    slug = models.CharField(max_length=300, primary_key=True)
    picture = NightlightImageField(blank=True)

    def __str__(self):
        return self.slug


class Page(models.Model):
    """An object that belongs to an account."""

    member = models.OneToOneField(Member, on_delete=models.CASCADE)
    banner = NightlightImageField(owner="member", blank=True)
