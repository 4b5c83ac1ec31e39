"""What the site says of its accounts and its graph."""

from nightlight_django.conf import AccountDeclaration
from tests.support.django_site.models import Member

asked = []  # (viewer, owners) of each question about relations


def declare(instance):
    account = getattr(instance, "member", instance)
    band = getattr(account, "age_band", "adult")
    return AccountDeclaration(
        band,
        "verified" if band != "unknown" else "none",
        region="eu",
        choice="everyone" if band == "adult" else "connections",
    )


def word(request):
    return "peer" if request.user.age_band.startswith("age_") else "adult"


def relations(viewer, owners):
    asked.append((viewer, list(owners)))
    numbers = [owner for owner in owners if owner.isdigit()]
    friends = Member.friends.through.objects.filter(from_member=viewer.id, to_member__in=numbers)
    return {str(key): "connection" for key in friends.values_list("to_member", flat=True)}
