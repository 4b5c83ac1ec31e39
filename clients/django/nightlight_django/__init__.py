"""Nightlight in Django: an image field whose URL is a decision for the viewer of the request.

::

    INSTALLED_APPS += ["nightlight_django"]
    MIDDLEWARE += ["nightlight_django.middleware.NightlightMiddleware"]  # after AuthenticationMiddleware
    NIGHTLIGHT = {"URL": ..., "TOKEN_FILE": ..., "RELATION_KEYS": ..., "DECLARE": "site.nightlight.declare"}

    class Member(models.Model):
        picture = NightlightImageField(blank=True)  # from nightlight_django.fields
"""
