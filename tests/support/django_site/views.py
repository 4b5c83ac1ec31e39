from asgiref.sync import sync_to_async
from django.http import JsonResponse
from django.shortcuts import render
from django.views.generic import UpdateView

from nightlight_django.avatars import aprefetch
from nightlight_django.form_fields import RefusedPictureMixin
from tests.support.django_site.models import Member


def members(request):
    return render(request, "members.html", {"members": Member.objects.order_by("pk")})


def plain(request):
    return JsonResponse({"urls": [member.picture.url for member in Member.objects.order_by("pk")]})


async def async_members(request):
    listed = await sync_to_async(list)(Member.objects.order_by("pk"))
    await aprefetch(listed)
    return JsonResponse({"urls": [member.picture.url for member in listed]})


async def async_careless(request):
    listed = [member async for member in Member.objects.order_by("pk")]
    return JsonResponse({"urls": [member.picture.url for member in listed]})


class Me(RefusedPictureMixin, UpdateView):
    model = Member
    fields = ("first_name", "picture")
    template_name = "me.html"
    success_url = "/members/"

    def get_object(self):
        return self.request.user
