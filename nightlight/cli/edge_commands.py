"""``nightlight edge``: configurations of web servers in front of the avatar URLs that a platform has already."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import typer

from nightlight.cli.output import JsonFlag, print_json, print_table, say
from nightlight_core.errors import InvalidInput

app = typer.Typer(
    help="In front of what is there: a platform's own avatar URLs, answered with decisions. docs/edge.md explains it.",
    no_args_is_help=True,
)
_TOKENS = "NIGHTLIGHT_AVATARS_EDGE_TOKENS"


@app.command()
def schemes(as_json: JsonFlag = False) -> None:
    """List the kinds of avatar URLs that `nginx --scheme` knows.

    Example: `nightlight edge schemes --json`
    """
    from nightlight.cli.edge_schemes import SCHEMES

    if as_json:
        values = {name: {"about": scheme.about, "at": scheme.at} for name, scheme in SCHEMES.items()}
        print_json(values)
        return
    print_table(("scheme", "what it is", "where"), [(name, s.about, s.at) for name, s in SCHEMES.items()])


@app.command()
def nginx(  # noqa: PLR0913 - each is an option of the command
    scheme: Annotated[str, typer.Option(help="What the URLs look like: see `nightlight edge schemes`.")] = "plain",
    path: Annotated[
        str | None, typer.Option(help="plain: the URLs' path, with {id}, {size}, {any}. [default: /avatars/{id}]")
    ] = None,
    at: Annotated[str | None, typer.Option(help="Other schemes: the path that they are found under.")] = None,
    source: Annotated[
        str | None, typer.Option(help="thumbor, imgproxy: what the sources of avatars look like, with {id}.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Begins the names of files and variables. [default: scheme]")] = None,
    service: Annotated[str, typer.Option(help="Nightlight's service.")] = "http://127.0.0.1:8080",
    pictures: Annotated[
        str | None, typer.Option(help="Who serves /a/...: an edge of infra/edge, say. [default: the service]")
    ] = None,
    viewer_cookie: Annotated[str | None, typer.Option(help="Cookie with the viewer's token, a signed JWT.")] = None,
    viewer_header: Annotated[str | None, typer.Option(help="Header with it, such as Authorization.")] = None,
    viewer_session: Annotated[
        str | None, typer.Option(help="Or: a URL of the platform that says whose session a request has.")
    ] = None,
    viewer_certificate: Annotated[
        bool, typer.Option("--viewer-certificate", help="Or: the common name of a client certificate (mutual TLS).")
    ] = False,
    proof_header: Annotated[
        bool, typer.Option("--proof-header", help="Take a relation proof from the header Nightlight-Proof.")
    ] = False,
    ids: Annotated[str | None, typer.Option(help="File for nginx's map: `key profile-id;` on each line.")] = None,
    ids_url: Annotated[str | None, typer.Option(help="Or: a URL of the platform that says whose a key is.")] = None,
    context: Annotated[str, typer.Option(help="The policy's word for where the pictures are shown.")] = "list",
    old: Annotated[
        str | None, typer.Option(help="Migration: URL of the old pictures, with {id}. Off without it.")
    ] = None,
    keep_decisions: Annotated[int, typer.Option(min=0, max=60, help="Seconds to keep a decision; 0 for none.")] = 1,
    browser: Annotated[int, typer.Option(min=0, max=3600, help="Seconds for browsers to keep a picture.")] = 60,
    cache: Annotated[
        str, typer.Option(help="Folder for nginx's caches and socket; it must be there.")
    ] = "/var/cache/nginx",
    log: Annotated[str, typer.Option(help="Access log of these URLs, without viewers or URLs; or off.")] = "off",
    out: Annotated[Path | None, typer.Option(help="Folder to write the files to; printed without it.")] = None,
    token_file: Annotated[Path | None, typer.Option(help="File with the edge's token; a new one without it.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write the configuration of nginx for one kind of avatar URLs: `NAME.http.conf` and `NAME.locations.conf`.

    The first belongs into nginx's `http { }`, the second into the platform's `server { }`. Viewers who are
    not known are outsiders, and so are all where no option says how viewers are told.

    Examples: `nightlight edge nginx --viewer-cookie viewer --out /etc/nginx/nightlight`,
    `nightlight edge nginx --scheme gravatar --ids-url http://127.0.0.1:3000/internal/owner --viewer-session
    http://127.0.0.1:3000/internal/viewer`, `nightlight edge nginx --scheme imgproxy --at /img/ --source
    's3://media/avatars/{id}.jpg' --viewer-header Authorization`
    """
    from nightlight.cli.edge_nginx import EdgeOptions, files
    from nightlight.cli.files import read_bytes

    options = EdgeOptions(
        name=name or scheme,
        scheme=scheme,
        at=at,
        path=path,
        source=source,
        service=service,
        pictures=pictures,
        viewer_cookie=viewer_cookie,
        viewer_header=viewer_header,
        viewer_session=viewer_session,
        viewer_certificate=viewer_certificate,
        proof_header=proof_header,
        ids=ids,
        ids_url=ids_url,
        context=context,
        old=old,
        keep_decisions=keep_decisions,
        browser=browser,
        cache=cache,
        log=log,
    )
    token = read_bytes(token_file).decode("ascii", "replace").strip() if token_file else secrets.token_urlsafe(32)
    contents = files(options, token, str(out.absolute()) if out else "/etc/nginx/nightlight")
    written = _write(out, contents) if out is not None else []
    if as_json:
        texts = {} if out else {file: data.decode() for file, data in contents.items() if file.endswith(".conf")}
        print_json({"files": [str(path_) for path_ in written] or texts, **({} if token_file else {_TOKENS: token})})
        return
    for path_ in written:
        say(f"wrote {path_}")
    if out is None:
        for file, data in contents.items():
            if file.endswith(".conf"):
                typer.echo(f"# ---- {file}\n{data.decode()}")
    if not token_file:
        say(f"# a new token, for the service: {_TOKENS}={token}")


def _write(folder: Path, contents: dict[str, bytes]) -> list[Path]:
    """Write the files, the token's for its owner alone; return where they are."""
    from nightlight_core.files import private_file

    if not folder.is_dir():
        raise InvalidInput(f"{folder} is no folder; make it first")
    for name, data in contents.items():
        path = folder / name
        if name.endswith(".token.conf"):
            private_file(path)
        path.write_bytes(data)
    return [folder / name for name in contents]
