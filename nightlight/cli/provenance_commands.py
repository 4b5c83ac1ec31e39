"""``nightlight provenance``: C2PA certificates, and whether a file's manifest holds."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from nightlight.cli.exit_codes import DIFFERENCES, DONE
from nightlight.cli.output import JsonFlag, plain_console, print_json, say
from nightlight.settings import Settings

if TYPE_CHECKING:
    from nightlight.provenance.verify import ManifestReport

app = typer.Typer(help="C2PA provenance: certificates, and whether a manifest holds.", no_args_is_help=True)
# Hashes of one picture are at most so many bits apart, as the index has it.
_NEAR = 31
_MAGIC = ((b"\xff\xd8", "image/jpeg"), (b"\x89PNG", "image/png"), (b"GIF8", "image/gif"))


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder for root.pem, chain.pem and their keys.")],
    algorithm: Annotated[str, typer.Option(help="ed25519 or es256.")] = "ed25519",
) -> None:
    """Make a root, an issuing and a leaf certificate for development.

    Nobody trusts them but who is given root.pem. Real ones come from a certification authority of the C2PA trust list:
    the leaf needs the key usage *digital signature* and the extended one *e-mail protection* (or C2PA's own), and its
    private key is made where it will be used. Example: `nightlight provenance init var/provenance --algorithm es256`
    """
    from nightlight.provenance.certificates import SigningAlgorithm
    from nightlight.provenance.certificates import create_development_chain as make
    from nightlight_core.clock import system_clock
    from nightlight_core.errors import InvalidInput

    if algorithm not in set(SigningAlgorithm):
        raise InvalidInput(f"an algorithm is {' or '.join(SigningAlgorithm)}, not {algorithm!r}")
    make(folder, SigningAlgorithm(algorithm), system_clock())
    typer.echo(f"{folder}: chain.pem signs with leaf.key.pem; who is to trust it needs root.pem")


@app.command()
def issue(
    folder: Annotated[Path, typer.Argument(help="Folder that `init` made.")],
    public_key: Annotated[Path, typer.Argument(help="Public key, PEM or DER: of a new pair, or of a key in KMS.")],
) -> None:
    """Issue a new leaf certificate for development: before one ends, or for a key that is kept elsewhere.

    Example: `nightlight provenance public-key > key.pem`, then `nightlight provenance issue var/provenance key.pem`
    """
    from nightlight.cli.files import read_bytes
    from nightlight.provenance.certificates import issue_leaf as make
    from nightlight_core.clock import system_clock

    make(folder, read_bytes(public_key), system_clock())
    typer.echo(f"{folder / 'chain.pem'} is of the new key")


@app.command(name="public-key")
def public_key() -> None:
    """Print the public key, PEM, of the key in AWS KMS or in a PKCS#11 token that the settings name.

    Whoever certifies it needs it. Example: `NIGHTLIGHT_PROVENANCE_KMS_KEY=alias/c2pa nightlight provenance public-key`
    """
    from cryptography.hazmat.primitives import serialization

    from nightlight.wiring.operator_tools import remote_signing_key
    from nightlight_core.errors import SettingsRefused

    kept = remote_signing_key(Settings())
    if kept is None:
        message = (
            "set NIGHTLIGHT_PROVENANCE_KMS_KEY or NIGHTLIGHT_PROVENANCE_PKCS11_MODULE: a key in a file has no need"
        )
        raise SettingsRefused(message)
    key = serialization.load_der_public_key(kept.public_key())
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    typer.echo(pem.decode(), nl=False)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="A picture.")],
    sidecar: Annotated[Path | None, typer.Option(help="Its manifest, where that is not in the picture.")] = None,
    anchors: Annotated[Path | None, typer.Option(help="Root certificates to trust, PEM.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show whether a manifest is trusted, valid, invalid or absent, and whether watermark and hash agree with it.

    The picture is decoded in the sandbox. The invisible watermark is looked for with the keys of
    NIGHTLIGHT_INVISIBLE_WATERMARK_KEYS, if they are set. Exits with 2 unless it is trusted, and with 1 if a file cannot
    be read or is not what its option asks for. Example: `nightlight provenance check a.webp --anchors root.pem`
    """
    from nightlight.cli.files import read_bytes, read_image
    from nightlight.provenance.verify import ManifestState
    from nightlight.provenance.verify import verify_manifest as look

    data = read_image(file)
    manifest = read_bytes(sidecar) if sidecar is not None else None
    trusted = _anchors(anchors) if anchors is not None else None
    checked = look(data, _media_type(data), anchors=trusted, manifest=manifest)
    agrees = _agreement(data, checked)
    if as_json:
        print_json({**asdict(checked), **agrees})
    else:
        _print(checked, agrees)
    raise typer.Exit(DONE if checked.state is ManifestState.TRUSTED else DIFFERENCES)


def _agreement(data: bytes, checked: ManifestReport) -> dict[str, Any]:
    """Return whether the invisible watermark and the hash are those that the manifest names; None: nobody can say."""
    import numpy as np

    from nightlight.imaging.renderer import Renderer
    from nightlight.matching.pdq import distance, pdq
    from nightlight.provenance.manifest import (
        HASH_ALGORITHM,
        WATERMARK_ALGORITHM,
        hash_from_binding,
        watermark_from_binding,
    )
    from nightlight_core.errors import DecoderDied, ImageRefused

    watermark = watermark_from_binding(checked.bindings.get(WATERMARK_ALGORITHM, ""))
    bound = hash_from_binding(checked.bindings.get(HASH_ALGORITHM, ""))
    agreement: dict[str, Any] = {"watermark_agrees": None, "hash_distance": None, "decoded": True}
    if watermark is None and bound is None:
        return agreement
    rendering = Renderer(Settings())
    try:
        copy = rendering.decode_copy(data)
        read = rendering.detect(copy.pixels, []).detection if watermark is not None else None
    except (ImageRefused, DecoderDied):
        return {**agreement, "decoded": False}
    finally:
        rendering.close()
    if read is not None and watermark is not None:
        mask = 0xFFFF if read.payload.short else (1 << 56) - 1
        agreement["watermark_agrees"] = read.payload.rendition == watermark & mask
    if bound is not None:
        bound_hash = np.frombuffer(bound, np.uint8)[None]
        here = np.stack([pdq(luma).hashes[0] for luma in copy.lumas])
        agreement["hash_distance"] = int(distance(here, bound_hash).min())
    return agreement


def _print(checked: ManifestReport, agrees: dict[str, Any]) -> None:
    table = Table(show_header=False)
    table.add_row("state", checked.state.value)
    table.add_row("signed by", checked.signed_by or "nobody")
    table.add_row("what was done", ", ".join(checked.actions) or "it does not say")
    watermark = {True: "is the one that the manifest names", False: "IS ANOTHER ONE", None: "was not read"}
    table.add_row("invisible watermark", watermark[agrees["watermark_agrees"]])
    bits = agrees["hash_distance"]
    near = "not asked" if bits is None else f"{bits} of 256 bits away{'' if bits <= _NEAR else ': ANOTHER PICTURE'}"
    table.add_row("perceptual hash", near)
    plain_console().print(table)
    for failure in checked.failures:
        say(f"WRONG  {failure}")


def _media_type(data: bytes) -> str:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp":
        return "image/avif"
    return next((kind for magic, kind in _MAGIC if data.startswith(magic)), "application/octet-stream")


def _anchors(path: Path) -> str:
    """Return root certificates, PEM; raise InvalidInput for anything else: it is not the picture that is wrong then."""
    from cryptography import x509

    from nightlight.cli.files import read_bytes
    from nightlight_core.errors import InvalidInput

    data = read_bytes(path)
    try:
        x509.load_pem_x509_certificates(data)
        return data.decode("ascii")
    except ValueError as error:
        raise InvalidInput(f"--anchors: {path} holds no certificates in PEM") from error
