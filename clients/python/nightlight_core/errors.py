"""Every error that Nightlight raises on purpose, in one tree.

::

    NightlightError                                                                         HTTP  retryable
    ├── PolicyRefused, SettingsRefused, IndexBroken, StoreDenied ── SourceDenied            500
    ├── BadRequest                                                                          400
    ├── PolicyRejected, ReceiptRefused, InvalidInput ── IdempotencyMismatch                 422
    ├── ImageRefused ── ImageTooLarge, ImageTooComplex                                      422
    │   ├── CorruptImage ── TruncatedImage                                                  422
    │   └── UnsupportedFormat                                                               415
    ├── Unauthenticated                                                                     401
    ├── Forbidden ── ApproverRefused                                                        403
    ├── ObjectMissing, NotFound ── ProfileNotDeclared                                       404
    ├── RequestTimeout                                                                      408   yes
    ├── PolicyConflict, LifecycleRefused, Conflict, ProfileDeactivated, LeaseLost           409
    ├── PayloadTooLarge                                                                     413
    ├── TooManyRequests                                                                     429   yes
    ├── ManifestRefused, DecoderDied                                                        500   yes
    │   └── DecoderTooSlow                                                                  500
    └── Unavailable                                                                         503   yes
        ├── StoreUnavailable ── BucketMissing, StoreCredentialsRefused                      503   yes
        ├── CatalogueUnavailable ── CatalogueRestored                                       503   yes
        ├── QueueUnavailable, QuotasUnavailable, ClockSkewed                                503   yes
        ├── DiskFull                                                                        503   yes
        ├── SandboxUnavailable, ListsUnavailable, IndexBehind, HoldPending, SealKeyMissing  503   yes
        └── WatermarkKeyMissing, CredentialMissing, CertificateExpired, SigningFailed       503   yes

``public_detail`` is what a caller of the API is told, who may be an outsider: ``public``, or the error's own detail
where its class ``tells``. ``str(error)`` is for the operator, in the log.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar


class NightlightError(Exception):
    """The root. A subclass gives its HTTP status and public text; its code is its name: ``image_too_large``."""

    code: str = "internal"
    status: int = 500
    public: ClassVar[str] = "Something went wrong here; the operator has been told."
    retryable: bool = False
    # Whether ``detail`` speaks of the caller's own request alone, and in words for them.
    tells: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        """Make the code of a class of this tree of its name; a kind that another module adds has its parent's."""
        if cls.__module__ == __name__:
            cls.code = re.sub(r"(?<=.)(?=[A-Z])", "_", cls.__name__).lower()

    def __init__(self, detail: str = "", *, pointer: str | None = None) -> None:
        """Keep ``detail`` (for the log) and ``pointer`` (RFC 6901, into the request) apart."""
        super().__init__(detail or self.public)
        self.detail, self.pointer = detail, pointer

    @property
    def public_detail(self) -> str:
        """Return what a caller of the API is told."""
        return self.detail if self.tells and self.detail else self.public

    def __reduce__(self) -> tuple[Any, ...]:
        """Let an error reach another process as it is, whatever its constructor takes."""
        return _rebuilt, (type(self), self.args, self.__dict__)


def _rebuilt(kind: type[NightlightError], args: tuple[Any, ...], state: dict[str, Any]) -> NightlightError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class BadRequest(NightlightError):
    """A request to a route of AuthZEN lacks a member, or one has the wrong type or a value that is not allowed."""

    status = 400
    public = "The request is not as the OpenID Authorization API 1.0 says."
    tells = True


class InvalidInput(NightlightError):
    """The request is well-formed but one of its values is not allowed."""

    status = 422
    public = "A value in the request is not allowed."
    tells = True


class IdempotencyMismatch(InvalidInput):
    """The same Idempotency-Key was sent before with another body."""

    public = "This Idempotency-Key was used before with another request; use a new key."


class Unauthenticated(NightlightError):
    """No bearer token, or one that is expired, forged, or for another audience."""

    status = 401
    public = "A valid bearer token is needed."


class Forbidden(NightlightError):
    """The token is good but lacks the scope of this call."""

    status = 403
    public = "The token does not carry the scope that this call needs."


class ApproverRefused(Forbidden):
    """Somebody approves of a hold's end who placed it, or whom the operator did not name as an approver."""

    public = "The end of a hold is approved by two people of those named as approvers, neither of whom placed it."


class NotFound(NightlightError):
    """No such thing, or none that may be told apart from nothing."""

    status = 404
    public = "There is nothing here."


class ProfileNotDeclared(NotFound):
    """An upload came before ``PUT /v1/profiles/{profile_id}``."""

    public = "Declare the profile with PUT /v1/profiles/{profile_id} before uploading its image."


class PayloadTooLarge(NightlightError):
    """The body is over the cap; it was not read to its end."""

    status = 413
    public = "The request body is larger than is allowed."
    tells = True


class RequestTimeout(NightlightError):
    """The client was too long in sending its request."""

    status = 408
    public = "The request was too long in coming."
    retryable = True


class TooManyRequests(NightlightError):
    """The caller has asked for more than its share; ``after_s`` says in how many seconds the next may be asked for."""

    status = 429
    public = "This caller has asked for as much as it may for now; try again later."
    retryable = True

    def __init__(self, detail: str = "", *, after_s: int = 60) -> None:
        """Keep ``after_s`` for the answer's Retry-After."""
        super().__init__(detail)
        self.after_s = after_s


class ImageRefused(NightlightError):
    """The upload cannot become a rendition; trying again with the same bytes will not help."""

    status = 422
    public = "This image cannot be used."
    tells = True


class UnsupportedFormat(ImageRefused):
    """The magic bytes name no format that is accepted (see NIGHTLIGHT_UPLOAD_HEIC and NIGHTLIGHT_UPLOAD_JXL)."""

    status = 415
    public = "This file is not a picture of a kind that can be used here."


class ImageTooLarge(ImageRefused):
    """The header promises more pixels, a longer side, or more memory to decode than the caps allow."""

    public = "The image has more pixels, a longer side, or needs more memory to decode, than is allowed."


class ImageTooComplex(ImageRefused):
    """The header promises more parts, scans or fill bytes, or more work for its decoder, than the caps allow."""

    public = "The image takes more work to decode than is allowed; save it again in an ordinary way."


class CorruptImage(ImageRefused):
    """The header or the pixels could not be read to the end."""

    public = "The image is damaged or incomplete."
    tells = False  # a decoder's own words


class TruncatedImage(CorruptImage):
    """The file ends before its picture does."""

    public = "The image did not arrive whole; upload it again."
    tells = True


class PolicyRefused(NightlightError):
    """The policy files do not load or do not compile; nothing starts on them."""


class PolicyRejected(NightlightError):
    """A bundle that was sent may not be activated: its signature, its proofs or its approval do not hold."""

    status = 422
    public = "This policy may not be activated."
    tells = True


class PolicyConflict(NightlightError):
    """A bundle's version is not above every one before, or the policy was changed at this moment."""

    status = 409
    public = "The policy's version is not above the ones before it."
    tells = True


class SettingsRefused(NightlightError):
    """A setting is missing or contradicts another; nothing starts on them."""


class Unavailable(NightlightError):
    """Something that Nightlight depends on does not answer; the same call may succeed later."""

    status = 503
    public = "Not available at the moment; try again soon."
    retryable = True


class StoreUnavailable(Unavailable):
    """The object store does not answer, or answers with a server error."""


class BucketMissing(StoreUnavailable):
    """The object store answers, and has no bucket of that name."""


class StoreCredentialsRefused(StoreUnavailable):
    """The object store does not know this process's key, or its secret is another."""


class ClockSkewed(Unavailable):
    """This machine's clock is off by more than signatures allow."""


class DiskFull(Unavailable):
    """The disk is full: the temporary file of a request cannot be written."""


class CatalogueUnavailable(Unavailable):
    """The database does not answer."""


class CatalogueRestored(CatalogueUnavailable):
    """The database was restored from a backup and is behind what was written since, until an operator mends it."""


class QueueUnavailable(Unavailable):
    """The message broker does not answer."""


class SandboxUnavailable(Unavailable):
    """The sandboxed decoder did not start."""


class WatermarkKeyMissing(Unavailable):
    """The active policy asks for invisible watermarks and this worker has no key: its jobs wait until one has."""


class SealKeyMissing(Unavailable):
    """This worker has no key to open a sealed original with: its jobs wait until one has."""


class CertificateExpired(Unavailable):
    """The certificate that manifests are signed with is not valid yet, or ends within a day: nothing is published."""


class CredentialMissing(Unavailable):
    """The active policy asks for provenance and this worker has nothing to sign with: its jobs wait until one has."""


class SigningFailed(Unavailable):
    """A manifest could not be signed or did not read back: its rendition is not published."""


class HoldPending(Unavailable):
    """A hold covers what is to be erased, and it is not in the vault yet."""


class QuotasUnavailable(Unavailable):
    """The store of quotas does not answer: nobody is given a picture."""


class ListsUnavailable(Unavailable):
    """A hash list cannot be read, has yet to be indexed, or has lost what an operator has to confirm: renders wait."""


class IndexBehind(Unavailable):
    """The index of perceptual hashes is being brought up to date with the catalogue, here or by another process."""


class DecoderDied(NightlightError):
    """The decoder was killed over a picture, or took too long; ``how`` says it in a word, such as SIGSYS."""

    retryable = True

    def __init__(self, detail: str = "", *, how: str = "unknown") -> None:
        """Keep ``how`` for the job's row."""
        super().__init__(detail)
        self.how = how


class DecoderTooSlow(DecoderDied):
    """The decoder used up its processor time over a picture: it would again, so it is not asked again."""

    retryable = False


class ManifestRefused(NightlightError):
    """One picture's manifest cannot be signed so that it stands, though the credential signs another's.

    The job is tried a few times, as one whose decoder died, and then given up for an operator to look at.
    """

    retryable = True


class IndexBroken(NightlightError):
    """The index of perceptual hashes cannot be read as it should be; it is made again from the catalogue."""


class ObjectMissing(NightlightError):
    """The object store answers that there is no object under this key."""

    status = 404
    public = NotFound.public


class StoreDenied(NightlightError):
    """The object store refuses these credentials this action."""


class SourceDenied(StoreDenied):
    """The bucket that pictures are imported from refuses these credentials this action."""


class LifecycleRefused(NightlightError):
    """A bucket's lifecycle rules are not made, or not as they were planned: the bucket is as it was."""

    status = 409
    public = "The lifecycle rules were refused."


class ReceiptRefused(NightlightError):
    """What was given is no receipt, or not one that can be read."""

    status = 422
    public = "This is no receipt."


class Conflict(NightlightError):
    """Somebody else wrote the same row first; the transaction was rolled back."""

    status = 409
    public = "The same thing is being done at this moment; try again."


class ProfileDeactivated(NightlightError):
    """An upload came for a profile that is deactivated."""

    status = 409
    public = "The profile is deactivated; take that back before uploading its image."


class LeaseLost(NightlightError):
    """Another attempt took the job over; this one must not write its result."""

    status = 409
