"""Every sentence of the page that a person reads, in English; for another language this file is all there is to write.

Short sentences and everyday words: whoever reads them may be thirteen.
"""

from __future__ import annotations

from collections.abc import Mapping

LANGUAGE = "en"
TITLE = "Your profile picture and what we know about it"
INTRODUCTION = "This file was made on {made}. It is about the account {account}."
PRIVATE = (
    "Keep this file to yourself. It has your original picture in it, as large and as sharp as you uploaded it. "
    "If somebody asks you for it, you can say no."
)

ACCOUNT = "Your account"
BAND = "Age group that was given for you"
COUNTS = "Age group that counts now"
ASSURANCE = "How your age group is known"
REGION = "Rules that apply to you"
CHOICE = "Who you let see your picture"
CONFIRMED = "Last confirmed"
FIRST = "First confirmed"
# Words of the default policy, as people say them; another word is shown as it is.
WORDS: Mapping[str, str] = {
    "unknown": "not known",
    "under_13": "under 13",
    "age_13_15": "13 to 15",
    "age_16_17": "16 to 17",
    "adult": "18 or older",
    "none": "nobody has said",
    "self_declared": "you said so",
    "guardian_consent": "your guardian said so",
    "estimated": "it was estimated",
    "verified": "it was checked",
    "hidden": "nobody",
    "connections": "people you are connected with",
    "everyone": "everyone",
}
DEACTIVATED = "Your account has been switched off since {since}. Nobody is shown your picture meanwhile, not even you."
REPORTED = (
    "Somebody has asked the platform to look at your account. Until that is done, your picture is hidden from others."
)

PICTURES = "Your pictures"
NO_PICTURES = "We have no picture of yours."
PICTURE = "Picture {number}"
UPLOADED = "You uploaded it on {moment}."
STATES: Mapping[str, str] = {
    "current": "This is your picture now.",
    "replaced": "You have put another picture in its place.",
    "rejected": "This file could not be used as a picture.",
    "failed": "We could not make this picture ready to show.",
    "held": "We must keep this picture because of an order. It is locked away, and shown to nobody.",
    "not_available": "This picture cannot be given to you at the moment. There can be several reasons, such as that it "
    "is not ready yet. You can ask for this file again later.",
}
REASON = "The reason: {reason}."
HOLD = "The order ({kind}) began on {since}."
HOLD_UNTIL = "It ends on {until}."
ORIGINAL = "Open your original"
ORIGINAL_FACTS = "{width} by {height} pixels, {kilobytes} kB. It is exactly what you uploaded."
LEFT_OUT: Mapping[str, str] = {
    "not_available": "The original is not in this file.",
    "held": "The original is locked away, so it is not in this file.",
    "too_large": "The original is not in this file, because the file would become too large. Ask for it by itself.",
}
EVENTS = "What happened to it"
HAPPENED: Mapping[str, str] = {
    "accepted": "We received it.",
    "ready": "It was ready to be shown.",
    "replaced": "Another picture took its place.",
    "rejected": "It could not be used.",
    "failed": "We could not make it ready.",
}
RENDITIONS = "Smaller pictures that we made of it"
NO_RENDITIONS = "There are none."
COLUMNS = ("Kind", "Size in pixels", "Made on")

SHOWN = "Who is shown what"
SHOWN_HOW = "This is the most that each group of people is shown. Some of them are shown less."
NOT_SHOWN = "Nobody is shown a picture of yours now."
WHO = "Who"
WHAT = "What they are shown at most"
RELATIONS: Mapping[str, str] = {
    "self": "You",
    "guardian": "Your guardian",
    "connection": "People you are connected with",
    "mutual": "People who know somebody you know",
    "stranger": "Everybody else",
    "blocked": "People you have blocked",
}
NO_PICTURE = "no picture of you, only a blank one"
AT_MOST = "a picture with at most {edge} pixels on its longer side"

ERASED = "Pictures that were erased"
ERASED_HOW = (
    "We have erased {count} of your pictures. There are {receipts} signed receipts of it in the file {document}. "
    "Anybody can check them, with no help from us."
)

MORE = "What else"
NOTES = (
    "The file {document} says the same as this page, for programs. The file {schema} describes it.",
    "This file does not say who has blocked you, or who has reported you. That would be about other people.",
    "We also keep numbers that are worked out from your picture. They help us to find copies of it.",
    "They are deleted when your picture is erased.",
    "You can have your picture erased. Ask the platform where you have your account.",
    "The copy of this file that we have is deleted within a day.",
)
