from django.contrib import admin

from nightlight_django.admin import PictureAdminMixin
from tests.support.django_site.models import Member


@admin.register(Member)
class MemberAdmin(PictureAdminMixin, admin.ModelAdmin):
    fields = ("username", "picture", "nightlight_picture")
    readonly_fields = ("nightlight_picture",)
