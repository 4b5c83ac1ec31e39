"""``nightlight init``: from nothing to a folder in which ``nightlight serve`` or ``docker compose up`` runs."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nightlight.cli.output import JsonFlag, print_json
from nightlight.cli.project import COMPOSE, POLICIES, TOKEN, TOKEN_HOURS, Services
from nightlight_core.errors import InvalidInput, SettingsRefused

if TYPE_CHECKING:
    from nightlight.policy.compile import Compiled

DEFAULT_REGION, DEFAULT_PORT = "eu", 8080


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to make; one that is there must be empty.")],
    region: Annotated[
        str | None,
        typer.Option(
            help="The region, in the policy's word, whose answers are printed at the end. It changes no rule: the pack "
            "has the rules of every region, and each profile says its own."
        ),
    ] = None,
    services: Annotated[
        Services | None,
        typer.Option(
            help="`embedded`: everything on this machine, by `nightlight serve`. `real`: PostgreSQL, RabbitMQ, Redis "
            "and S3, by Docker Compose."
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Port of `nightlight serve`; it can be changed in `.env`.")
    ] = DEFAULT_PORT,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: eu and embedded, where no option says else.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Make a project folder: the default policies, keys, settings, a first token, and what the services need.

    It asks for the region and the services unless options name both. Nothing is overwritten. Keys and token are for
    development, and for you alone; `.gitignore` keeps them out of a repository.

    Examples: `nightlight init shop`, `nightlight init shop --yes`,
    `nightlight init shop --region us_ca --services real --json`
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidInput(f"{folder} is there already and not empty: nothing was written; name another folder")
    compiled = _default_pack()
    regions = compiled.pack.vocabulary.attributes["region"]
    asks = not yes and not as_json and _is_terminal()
    if services is None and not asks and not yes:
        raise InvalidInput("nobody can be asked here: name --services (and --region), or say --yes for the defaults")
    region = region or (_ask("Where are most of your people?", regions, DEFAULT_REGION) if asks else DEFAULT_REGION)
    if region not in regions:
        raise InvalidInput(f"--region {region}: the policy's regions are {', '.join(regions)}")
    if services is None:
        kinds = [kind.value for kind in Services]
        services = Services(_ask("Which services?", kinds, Services.EMBEDDED) if asks else Services.EMBEDDED)
    _write(folder, services, port)
    project = _Project(folder, region, services, port)
    if as_json:
        print_json(
            {
                **project.described(),
                "region_shows": _shows(compiled, region),
                "next": project.steps(),
                "first_calls": project.first_calls(),
            }
        )
    else:
        _print(project, _shows(compiled, region))


def register(app: typer.Typer) -> None:
    """Add this command to ``nightlight``."""
    app.command()(init)


@dataclass(frozen=True, slots=True)
class _Project:
    """What was made, and what comes next."""

    folder: Path
    region: str
    services: Services
    port: int

    def described(self) -> dict[str, str]:
        data_dir = self.services.data_dir
        return {
            "folder": str(self.folder),
            "services": self.services.value,
            "region": self.region,
            "policies": str(self.folder / POLICIES),
            "keys": str(self.folder / data_dir / "keys"),
            "token": str(self.folder / data_dir / TOKEN),
            "settings": str(self.folder / ".env"),
        }

    def steps(self) -> list[str]:
        """Return the commands that come next, in their order; none of them needs a checkout but the images' builds."""
        enter = [] if self.folder.resolve() == Path.cwd() else [f"cd {self.folder}"]
        if self.services is Services.EMBEDDED:
            return [*enter, "nightlight serve"]
        images = [
            f"docker build --file CHECKOUT/infra/Dockerfile --target {kind} --tag nightlight-{kind}:local CHECKOUT"
            for kind in ("service", "worker")
        ]
        return [*enter, *images, "docker compose up --detach --wait"]

    def first_calls(self) -> list[str]:
        """Return the first calls of the API: a profile's declaration, and its picture."""
        port = self.port if self.services is Services.EMBEDDED else 8000
        address = f"http://127.0.0.1:{port}/v1/profiles/p1"
        bearer = f'-H "Authorization: Bearer $(cat {self.services.data_dir}/{TOKEN})"'
        body = f'{{"band": "age_13_15", "assurance": "verified", "region": "{self.region}"}}'
        return [
            f"curl -X PUT {address} {bearer} -H 'Content-Type: application/json' -d '{body}'",
            f"curl -X POST {address}/image {bearer} -F file=@picture.jpg",
        ]


def _default_pack() -> Compiled:
    from nightlight.cli.policy_options import compiled_folder
    from nightlight.settings.default_policies import default_policies

    return compiled_folder(default_policies())


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _ask(question: str, words: list[str] | tuple[str, ...], default: str) -> str:
    """Ask until one of the words is the answer."""
    while True:
        answer: str = typer.prompt(f"{question} ({', '.join(words)})", default=str(default)).strip()
        if answer in words:
            return answer
        typer.echo(f"{answer} is none of them")


def _write(folder: Path, services: Services, port: int) -> None:
    """Write the project; what could not be finished is taken away again."""
    from nightlight.cli.project_files import write_project

    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        write_project(folder, services, port)
    except BaseException as error:
        for path in [folder] if is_new else list(folder.iterdir()):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        if isinstance(error, OSError):
            raise SettingsRefused(f"{error.filename or folder}: {error.strerror}; nothing was written") from error
        raise


def _shows(compiled: Compiled, region: str) -> dict[str, str]:
    """Return the tier at most, in a profile's own page today, that outsiders and connections of somebody of 13 get."""
    from nightlight.cli.policy_options import today_utc
    from nightlight.policy.explain import explain

    today = compiled.on(today_utc().isoformat())
    given = {"region": region, "subject_age": "age_13_15", "context": "profile"}
    viewers = {"stranger": {"relation": "stranger"}, "connection": {"relation": "connection"}}
    return {name: str(explain(today, {**given, **more}).most.tier) for name, more in viewers.items()}


def _print(project: _Project, shows: dict[str, str]) -> None:
    data_dir = project.services.data_dir
    typer.echo(f"{project.folder} is ready:")
    typer.echo(f"  {POLICIES + '/':<14} the default pack: who may see what, for you to edit")
    typer.echo(f"  {data_dir + '/keys/':<14} keys, for development and for you alone")
    typer.echo(f"  {data_dir + '/' + TOKEN:<14} a token with every scope, for {TOKEN_HOURS} hours")
    typer.echo(f"  {'.env':<14} settings, which commands in this folder read")
    if project.services is Services.REAL:
        typer.echo(f"  {COMPOSE:<14} PostgreSQL, RabbitMQ, Redis, S3, an edge and Nightlight")
    typer.echo(
        f"\nIn {project.region} a stranger sees `{shows['stranger']}` of a 13-year-old, a connection at most "
        f"`{shows['connection']}` (`nightlight render picture.jpg` shows what that is)."
    )
    typer.echo("\nNext:")
    for step in project.steps():
        typer.echo(f"  {step}")
    typer.echo("\nThen, in another terminal in the same folder, a first profile and its picture:")
    for call in project.first_calls():
        typer.echo(f"  {call}")
