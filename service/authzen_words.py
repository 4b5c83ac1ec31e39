"""What AuthZEN's entities mean here: each evaluation as a question for one profile, in the words of the policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from nightlight_core.decisions.quotas import Requester
from nightlight_core.decisions.relation_resolver import Claim
from service.authzen_bodies import (
    BAD_REQUEST,
    UNKNOWN,
    AuthZenAction,
    AuthZenContext,
    AuthZenEvaluation,
    AuthZenResource,
    AuthZenSubject,
    Fault,
    SoughtResource,
    SoughtSubject,
)

if TYPE_CHECKING:
    from nightlight.settings.viewers import AuthZenSettings


class Asked(NamedTuple):
    """Who asks and where: what is assured of the viewer, the place, and the viewer."""

    viewer: str
    context: str
    requester: Requester


class Question(NamedTuple):
    """One evaluation in the words of the policy; those with the same ``asked`` are decided together."""

    asked: Asked
    claim: Claim


@dataclass(frozen=True, slots=True)
class ForeignVocabulary:
    """The words of those who ask, and ours for each; for a word that is not there, methods return None."""

    subjects: Mapping[str, str]
    resources: Mapping[str, str]
    actions: Mapping[str, str]

    @classmethod
    def from_settings(cls, settings: AuthZenSettings) -> ForeignVocabulary:
        """Return the vocabulary that the settings say."""
        return cls(settings.subject_types, settings.resource_types, settings.actions)

    def viewer(self, subject: SoughtSubject) -> str | None:
        """Return what is assured of a subject."""
        word = self.subjects.get(subject["type"])
        properties = subject.get("properties")
        return word and ((properties and properties.get("viewer")) or word)

    def relation(self, resource: SoughtResource) -> str | None:
        """Return what is claimed of a resource."""
        word = self.resources.get(resource["type"])
        properties = resource.get("properties")
        return word and ((properties and properties.get("relation")) or word)

    def context(self, action: str, surroundings: AuthZenContext | None) -> str | None:
        """Return where an action would show the picture."""
        word = self.actions.get(action)
        return word and ((surroundings and surroundings.get("context")) or word)

    def claim(self, resource: AuthZenResource) -> Claim | None:
        """Return what is claimed of a resource, with its proof."""
        word, properties = self.resources.get(resource["type"]), resource.get("properties")
        if word is None:
            return None
        if not properties:
            return Claim(resource["id"], word)
        return Claim(resource["id"], properties.get("relation") or word, properties.get("proof"))

    def asked(
        self, subject: AuthZenSubject, action: AuthZenAction, surroundings: AuthZenContext | None, tenant: str
    ) -> Asked | Fault:
        """Return who asks and where."""
        viewer, context = self.viewer(subject), self.context(action["name"], surroundings)
        if viewer is None:
            return _unknown("/subject/type")
        if context is None:
            return _unknown("/action/name")
        return Asked(viewer, context, requester_of(subject, tenant))


class Questions:
    """Makes evaluations of one request into questions; what they share is looked up once."""

    def __init__(self, words: ForeignVocabulary, defaults: AuthZenEvaluation, tenant: str) -> None:
        """Take what is whole in ``defaults`` for what an evaluation leaves out; ``tenant`` is the caller."""
        self._words, self._defaults, self._tenant = words, defaults, tenant
        self._shared = self._asked(defaults)
        resource = defaults.get("resource")
        self._claim = self._claimed(resource) if resource else Fault(BAD_REQUEST, "Field required", "/resource")

    def question(self, evaluation: AuthZenEvaluation | Fault) -> Question | Fault:
        """Return one evaluation as a question, or what is wrong with it."""
        if isinstance(evaluation, Fault):
            return evaluation
        own = evaluation.get("subject") or evaluation.get("action") or evaluation.get("context")
        asked = self._asked({**self._defaults, **_without_nulls(evaluation)}) if own else self._shared
        resource = evaluation.get("resource")
        claim = self._claimed(resource) if resource else self._claim
        if isinstance(asked, Fault):
            return asked
        return claim if isinstance(claim, Fault) else Question(asked, claim)

    def _asked(self, evaluation: AuthZenEvaluation) -> Asked | Fault:
        subject, action = evaluation.get("subject"), evaluation.get("action")
        if not subject or not action:
            return Fault(BAD_REQUEST, "Field required", "/action" if subject else "/subject")
        return self._words.asked(subject, action, evaluation.get("context"), self._tenant)

    def _claimed(self, resource: AuthZenResource) -> Claim | Fault:
        return self._words.claim(resource) or _unknown("/resource/type")


def _without_nulls(evaluation: AuthZenEvaluation) -> AuthZenEvaluation:
    return {name: value for name, value in evaluation.items() if value is not None}  # type: ignore[return-value]


def _unknown(pointer: str) -> Fault:
    return Fault(UNKNOWN, "this word is not known here", pointer)


def requester_of(subject: AuthZenSubject, tenant: str) -> Requester:
    """Return who asks."""
    properties = subject.get("properties")
    return Requester(subject["id"], properties.get("network") if properties else None, tenant)
