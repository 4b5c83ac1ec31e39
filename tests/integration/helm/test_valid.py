"""The chart is one that Helm takes, of resources that Kubernetes, KEDA and the Prometheus operator take."""

import copy
import re
import subprocess
import sys

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from nightlight.settings import CONCERNS
from tests.conftest import ROOT
from tests.support.charts import CHART, EXAMPLE, OPERATORS, type_errors

pytestmark = pytest.mark.integration
# The oldest that Chart.yaml allows, and newer ones.
CLUSTERS = ("1.27", "1.30", "1.33", "1.35", "1.37")
FOREIGN = {group.partition("/")[0] for group in OPERATORS}


def own(manifests):
    return [each for each in manifests if each["apiVersion"].partition("/")[0] not in FOREIGN]


def test_helm_finds_nothing_to_complain_of(helm):
    done = helm.run("lint", "--strict", CHART, f"--values={EXAMPLE}")
    assert done.returncode == 0, done.stdout
    assert "[ERROR]" not in done.stdout
    assert "[WARNING]" not in done.stdout


def test_the_oldest_cluster_is_the_one_that_is_tried():
    chart = YAML(typ="safe").load((CHART / "Chart.yaml").read_text("utf-8"))
    assert chart["kubeVersion"] == f">={CLUSTERS[0]}.0-0"
    assert CLUSTERS[-1] == ".".join(kubernetes_validate.latest_version().split(".")[:2])


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_every_resource_is_as_kubernetes_describes_it_with_no_field_that_it_does_not_know(everything, cluster):
    assert len(own(everything.all)) > 20
    for manifest in own(everything.all):
        kubernetes_validate.validate(manifest, cluster, strict=True)


def test_a_field_that_kubernetes_does_not_know_is_noticed(release):
    wrong = copy.deepcopy(release.workloads["service"])
    wrong["spec"]["template"]["spec"]["readOnlyRootFilesystem"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, CLUSTERS[-1], strict=True)


def test_what_operators_read_has_their_types_and_no_field_that_they_do_not_know(everything):
    foreign = [each for each in everything.all if each not in own(everything.all)]
    assert {each["kind"] for each in foreign} == {
        "ScaledObject", "TriggerAuthentication", "ServiceMonitor", "PrometheusRule"
    }  # fmt: skip
    assert type_errors(foreign) == [[] for _ in foreign]


def test_a_field_that_an_operator_does_not_know_is_noticed(release):
    (scaled,) = copy.deepcopy(release.of_kind("ScaledObject"))
    scaled["spec"]["minReplicas"] = scaled["spec"].pop("minReplicaCount")
    ((message,),) = type_errors([scaled])
    assert "minReplicas" in message


def test_the_schema_of_values_is_up_to_date():
    command = [sys.executable, ROOT / "infra/helm/values_schema.py", "--check"]
    assert subprocess.run(command, check=False).returncode == 0


def test_the_chart_is_of_the_release():
    chart = YAML(typ="safe").load((CHART / "Chart.yaml").read_text("utf-8"))
    assert chart["appVersion"] in (ROOT / "pyproject.toml").read_text("utf-8")


SECRET = next(name for name in CONCERNS["catalogue"].model_fields if name == "url")
REFUSED = {
    "a setting that there is not": ("--set=settings.all.NIGHTLIGHT_STORE_KINDS=s3", "NIGHTLIGHT_STORE_KINDS"),
    "a secret as text": (f"--set=settings.service.NIGHTLIGHT_CATALOGUE_{SECRET.upper()}=x", "NIGHTLIGHT_CATALOGUE_URL"),
    "a value that there is not": ("--set=service.replica=2", "replica"),
    "no service": ("--set=service.replicas=0", "replicas"),
    "an image that is another tomorrow": ("--set=images.service=nightlight-service:latest", "/images/service"),
    "an image without a version": ("--set=images.worker=nightlight-worker", "/images/worker"),
    "no address of pictures": ("--set=settings.service.NIGHTLIGHT_DELIVERY_BASE_URL=", "NIGHTLIGHT_DELIVERY_BASE_URL"),
    "a lane without a worker": ("--set=workers.groups.general.children.erasure=0", "lane erasure"),
    "an edge without a bucket's server": ("--set=edge.s3=", "edge.s3"),
    "a policy that lets to everywhere": ("--set-json=network.postgres.to=[]", "network.postgres.to"),
    "an address without TLS": ("--set=edge.ingress.enabled=true,edge.ingress.host=p.example.com", "tlsSecret"),
    "a size in no unit": ("--set=workers.indexSize=10", "indexSize"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_it_refuses(helm, what):
    option, named = REFUSED[what]
    done = helm.template(option)
    assert done.returncode != 0
    assert named in done.stderr


@pytest.mark.parametrize(("missing", "named"), [(0, "KEDA"), (1, "Prometheus operator")])
def test_it_names_the_operator_that_a_cluster_lacks(helm, missing, named):
    done = helm.template(operators=[group for number, group in enumerate(OPERATORS) if number != missing])
    assert done.returncode != 0
    assert f"{named} is not installed" in done.stderr


def test_without_operators_it_says_how_many_workers_there_are(helm):
    more = ["--set=workers.autoscaling.enabled=false,monitoring.enabled=false"]
    manifests = helm.manifests(*more, operators=())
    assert own(manifests) == manifests
    (workers,) = [each for each in manifests if each["metadata"]["name"] == "nl-worker-general"
                  and each["kind"] == "Deployment"]  # fmt: skip
    assert workers["spec"]["replicas"] == 2


def test_no_registry_is_named(helm):
    """Images are by value: whoever installs says where they come from."""
    images = YAML(typ="safe").load(helm.run("show", "values", CHART).stdout)["images"]
    assert [images[name] for name in ("service", "worker", "edge")] == ["", "", "nginx:1.28.0-bookworm"]
    named = [
        line.strip()
        for path in (CHART / "templates").iterdir()
        for line in path.read_text("utf-8").splitlines()
        if re.match(r"\s*image:", line)
    ]
    assert len(named) == 2
    assert all(line.startswith("image: {{ .") for line in named)
