"""What the chart's resources name is there: settings, secrets, ports, volumes, commands, accounts; and pods are restricted."""

import importlib.util
import json
import re

import pytest

from nightlight.cli import compose_secrets, key_commands
from nightlight.jobs.lanes import LANES
from nightlight.settings import CONCERNS, Settings
from nightlight.settings.process import ServiceSettings, WorkerSettings
from nightlight_core.decisions.placeholder import placeholder_bytes
from tests.conftest import ROOT
from tests.support.charts import CHART, container, environment, matches
from tests.support.containers import compose_service
from workers.lane_places import places_by_lane

pytestmark = pytest.mark.integration
_SPEC = importlib.util.spec_from_file_location("values_schema", ROOT / "infra/helm/values_schema.py")
values_schema = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(values_schema)
SETTINGS = {
    f"{concern.model_config.get('env_prefix', '')}{name}".upper(): concern
    for concern in CONCERNS.values()
    for name in concern.model_fields
}
OURS = ("service", "worker", "schedule", "migrate", "keeper")
EDGE = ROOT / "infra/edge/nginx"


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_a_setting_and_no_secret(everything, name):
    given = environment(everything.pods[name])
    assert set(given) - {"NIGHTLIGHT_SECRETS_DIR"} <= set(values_schema.plain_settings()) <= set(SETTINGS)
    assert all("value" in entry for entry in container(everything.pods[name])["env"])


@pytest.mark.parametrize("name", OURS)
def test_every_value_is_one_that_its_setting_takes(everything, name, monkeypatch):
    for variable, value in environment(everything.pods[name]).items():
        if variable != "NIGHTLIGHT_SECRETS_DIR":
            monkeypatch.setenv(variable, value)
    Settings()


@pytest.mark.parametrize("name", OURS)
def test_a_process_is_given_the_secrets_that_the_script_writes_for_it_and_no_others(everything, name, tmp_path):
    key_commands.init(tmp_path)
    passwords = dict.fromkeys(compose_secrets.PASSWORDS, "x")
    settings = compose_secrets.settings_of(name, tmp_path, passwords)
    compose_secrets.write_folder(tmp_path / name, settings)
    written = {path.name for path in (tmp_path / name).iterdir()}
    (volume,) = [volume for volume in everything.pods[name]["spec"]["volumes"] if "secret" in volume]
    keys = {item["key"] for item in volume["secret"]["items"]}
    # Redis has no password in compose, and its address is in the open there.
    assert keys == written | ({"nightlight_quotas_redis_url"} if name == "service" else set())
    assert all(item["key"] == item["path"] for item in volume["secret"]["items"])
    assert volume["secret"]["secretName"] == f"nightlight-{name}"
    assert volume["secret"]["defaultMode"] == 0o440
    # Settings that are the path of a file say where the chart puts it.
    (mount,) = [mount for mount in container(everything.pods[name])["volumeMounts"] if mount["name"] == "secrets"]
    assert (
        mount["mountPath"]
        == compose_secrets._MOUNTED_AT
        == environment(everything.pods[name])["NIGHTLIGHT_SECRETS_DIR"]
    )
    for path in (tmp_path / name).glob("nightlight_*"):
        if path.read_text().startswith("/"):
            assert path.read_text().removeprefix(f"{mount['mountPath']}/") in keys


def test_each_process_runs_what_it_runs_in_compose(everything):
    for name in OURS:
        assert (
            container(everything.pods[name]).get("command") == compose_service(name).get("command") or name == "keeper"
        )
    assert container(everything.pods["keeper"])["command"] == [*compose_service("keeper")["command"], "--every", "60"]
    assert container(everything.pods["edge"])["command"] == compose_service("edge")["entrypoint"]
    for name, image in {"service": "service", **dict.fromkeys(OURS[1:], "worker")}.items():
        assert container(everything.pods[name])["image"] == f"nightlight-{image}:0.1.0"
    assert container(everything.pods["edge"])["image"] == compose_service("edge")["image"]


def test_what_compose_says_of_a_process_the_chart_says_too(everything):
    """Addresses differ, and a purge hook for each edge; the image's own variables are in neither."""
    for name in OURS:
        compose, chart = set(compose_service(name)["environment"]), set(environment(everything.pods[name]))
        wanted = compose - {"NIGHTLIGHT_QUOTAS_REDIS_URL", "NIGHTLIGHT_EXPORT_SEAL_TO"}
        if name == "schedule":  # has no children
            wanted = {variable for variable in wanted if not variable.startswith("NIGHTLIGHT_WORKER_")}
        assert wanted <= chart, name


def test_ports_are_those_that_processes_listen_on(release):
    worker = WorkerSettings()
    ports = {name: container(pod).get("ports") for name, pod in release.pods.items()}
    assert ports == {
        "service": [{"name": "http", "containerPort": ServiceSettings().port}],
        "worker": [{"name": "http", "containerPort": worker.health_port}],
        "schedule": [{"name": "http", "containerPort": worker.schedule_health_port}],
        "edge": [{"name": "http", "containerPort": int(environment(release.pods["edge"])["NIGHTLIGHT_EDGE_LISTEN"])}],
        "migrate": None,
    }
    for service in release.of_kind("Service"):
        chosen = release.chosen(service["spec"]["selector"])
        assert len(chosen) == 1
        (port,) = service["spec"]["ports"]
        (target,) = ports[chosen.pop()]
        assert (port["targetPort"], port["port"]) == (target["name"], target["containerPort"])


def test_probes_ask_pages_that_there_are_and_wait_longer_than_these_take(release):
    for name in ("service", "worker", "schedule"):
        probes = container(release.pods[name])
        assert probes["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
        assert probes["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
        # A part that is out for long takes no process down: only readiness asks others.
        assert "readyz" not in str(probes["livenessProbe"]) + str(probes["startupProbe"])
        assert probes["readinessProbe"]["timeoutSeconds"] >= 10
    pages = (ROOT / "workers/health.py").read_text("utf-8") + (ROOT / "service/routes/health.py").read_text("utf-8")
    assert pages.count('"/healthz"') == pages.count('"/readyz"') == 2


def test_pods_are_given_longer_to_stop_than_their_processes_take(helm, release):
    drain = int(re.search(r"timeout_graceful_shutdown=(\d+)", (ROOT / "service/__main__.py").read_text("utf-8"))[1])
    grace = {name: pod["spec"]["terminationGracePeriodSeconds"] for name, pod in release.pods.items()}
    (lag,) = (
        float(variable["value"])
        for variable in container(release.pods["service"])["env"]
        if variable["name"] == "NIGHTLIGHT_SERVICE_DRAIN_S"
    )
    assert lag >= 5
    assert grace["service"] >= lag + drain + 15
    assert grace["worker"] >= WorkerSettings().shutdown_s + 20
    longer = helm.manifests("--set-string=settings.worker.NIGHTLIGHT_WORKER_SHUTDOWN_S=90.5")
    graces = [each["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] for each in longer
              if each["metadata"]["name"] == "nl-worker-general" and each["kind"] == "Deployment"]  # fmt: skip
    assert graces == [121]


def test_every_pod_meets_the_restricted_standard(everything):
    """Kubernetes' Pod Security Standards, `restricted`; and a root that nobody writes to."""
    for name, pod in everything.pods.items():
        spec, inner = pod["spec"], container(pod)
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["runAsUser"] == (101 if name == "edge" else 10001), name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert inner["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}
        }, name  # fmt: skip
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(spec), name
        kinds = {kind for volume in spec["volumes"] for kind in volume if kind != "name"}
        assert kinds <= {"secret", "configMap", "emptyDir", "persistentVolumeClaim"}, name
        assert spec["automountServiceAccountToken"] is False, name
        assert set(inner["resources"]) == {"requests", "limits"}, name
        assert inner["resources"]["limits"]["memory"], name
        # Else a Service called nightlight-service would set NIGHTLIGHT_SERVICE_PORT to a URL.
        assert spec["enableServiceLinks"] is False, name


def test_what_a_worker_leaves_behind_is_taken_up(release):
    assert release.pods["worker"]["spec"]["shareProcessNamespace"] is True
    assert compose_service("worker")["init"] is True


def test_users_are_those_of_the_images(release):
    dockerfile = (ROOT / "infra/Dockerfile").read_text("utf-8")
    context = release.pods["worker"]["spec"]["securityContext"]
    assert f"USER {context['runAsUser']}:{context['runAsGroup']}" in dockerfile
    context = release.pods["edge"]["spec"]["securityContext"]
    assert f"{context['runAsUser']}:{context['runAsGroup']}" == compose_service("edge")["user"]


def test_every_mount_has_its_volume_and_every_name_is_there(everything):
    for name, pod in everything.pods.items():
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        mounts = container(pod)["volumeMounts"]
        assert {mount["name"] for mount in mounts} == set(volumes), name
        assert len({mount["mountPath"] for mount in mounts}) == len(mounts)
        for volume in volumes.values():
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in everything.by_name
        account = pod["spec"]["serviceAccountName"]
        assert account == "default" if name == "migrate" else ("ServiceAccount", account) in everything.by_name
    scaled = {each["spec"]["scaleTargetRef"]["name"] for each in everything.of_kind("ScaledObject")}
    assert all(("Deployment", name) in everything.by_name for name in scaled)
    assert ("Service", everything.workloads["edge"]["spec"]["serviceName"]) in everything.by_name
    (ingress,) = everything.of_kind("Ingress")
    (path,) = ingress["spec"]["rules"][0]["http"]["paths"]
    assert (path["path"], path["pathType"]) == ("/a/", "Prefix")  # the purge hook is not for viewers
    assert ("Service", path["backend"]["service"]["name"]) in everything.by_name


def test_every_budget_and_every_workload_is_of_one_another(release):
    budgets = [release.chosen(each["spec"]["selector"]) for each in release.of_kind("PodDisruptionBudget")]
    assert sorted(map(sorted, budgets)) == [["edge"], ["schedule"], ["service"], ["worker"]]
    for name, workload in release.workloads.items():
        if workload["kind"] != "Job":
            assert release.chosen(workload["spec"]["selector"]) == {name}
            assert workload["spec"].get("replicas", 2) >= 2, name


def test_pods_are_spread_over_nodes_and_zones(release):
    for name, pod in release.pods.items():
        spread = pod["spec"]["topologySpreadConstraints"]
        assert [each["topologyKey"] for each in spread] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
        assert all(matches(each["labelSelector"], pod["metadata"]["labels"]) for each in spread), name


def test_migrations_run_before_anything_else_of_a_release(release):
    annotations = release.workloads["migrate"]["metadata"]["annotations"]
    assert annotations["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert container(release.pods["migrate"])["command"][-1].startswith("nightlight catalogue upgrade && ")
    policy = release.by_name["NetworkPolicy", "nl-migrate"]["metadata"]["annotations"]
    assert policy["helm.sh/hook"] == annotations["helm.sh/hook"]
    assert int(policy["helm.sh/hook-weight"]) < int(annotations["helm.sh/hook-weight"])


def test_each_queue_that_a_worker_takes_from_scales_it(helm, release, monkeypatch):
    (scaled,) = release.of_kind("ScaledObject")
    triggers = {trigger["name"]: trigger["metadata"] for trigger in scaled["spec"]["triggers"]}
    assert {lane: metadata["queueName"] for lane, metadata in triggers.items()} == {
        lane: f"{Settings().queue.name}.{lane}" for lane in LANES
    }
    assert "replicas" not in release.workloads["worker"]["spec"]
    (access,) = release.of_kind("TriggerAuthentication")
    (target,) = access["spec"]["secretTargetRef"]
    assert (target["name"], target["key"]) == ("nightlight-worker", "nightlight_queue_broker_url")
    assert {t["authenticationRef"]["name"] for t in scaled["spec"]["triggers"]} == {access["metadata"]["name"]}
    # The variables of its children mean what the lanes' names say.
    for variable, value in environment(release.pods["worker"]).items():
        monkeypatch.setenv(variable, value)
    assert places_by_lane(WorkerSettings()) == {"erasure": 1, "urgent": 1, "trace": 1, "upload": 2, "background": 1}
    slow = {
        "children": {"background": 4},
        "replicas": 1,
        "min": 1,
        "max": 3,
        "messages": {"background": 10},
        "resources": {},
    }
    split = [
        f"--set-json=workers.groups.slow={json.dumps(slow)}",
        "--set=workers.groups.general.children.background=0",
        "--set-string=settings.all.NIGHTLIGHT_QUEUE_NAME=minors",
    ]
    queues = {
        each["metadata"]["name"]: {trigger["metadata"]["queueName"] for trigger in each["spec"]["triggers"]}
        for each in helm.manifests(*split) if each["kind"] == "ScaledObject"
    }  # fmt: skip
    assert queues == {
        "nl-worker-slow": {"minors.background"},
        "nl-worker-general": {f"minors.{lane}" for lane in LANES if lane != "background"},
    }


def test_every_edge_is_told_by_its_own_name(helm, everything):
    edge = everything.workloads["edge"]
    for name in ("worker", "schedule"):
        urls = environment(everything.pods[name])["NIGHTLIGHT_DELIVERY_PURGE_URL"].split(",")
        pods = [f"{edge['metadata']['name']}-{number}" for number in range(edge["spec"]["replicas"])]
        assert urls == [f"http://{pod}.{edge['spec']['serviceName']}:8080/purge" for pod in pods]
    nodes = everything.by_name["Service", edge["spec"]["serviceName"]]["spec"]
    # One that has no list yet is not ready, and becomes it by being told.
    assert (nodes["clusterIP"], nodes["publishNotReadyAddresses"]) == ("None", True)
    without = helm.manifests("--set=edge.enabled=false,edge.s3=")
    assert not [each for each in without if "edge" in each["metadata"]["name"]]
    assert "PURGE_URL" not in str(without)


def test_the_edge_has_every_file_and_variable_that_its_configuration_names(everything):
    files = everything.by_name["ConfigMap", "nl-edge-files"]["data"]
    assert files == {path.name: path.read_text("utf-8") for path in EDGE.iterdir()}
    assert (CHART / "files/placeholder.webp").read_bytes() == placeholder_bytes()
    named = set(re.findall(r"\$\{(NIGHTLIGHT_\w+)\}", files["nightlight.conf.template"]))
    named |= set(re.findall(r"^env (\w+);", files["nginx.conf"], re.MULTILINE))
    named |= set(re.findall(r"process\.env\.(NIGHTLIGHT_\w+)", files["nightlight.js"]))
    given = {entry["name"] for entry in container(everything.pods["edge"])["env"]}
    # The ring is in a file here, which is read again when it changes.
    assert named - {"NIGHTLIGHT_DELIVERY_SIGNING_KEYS"} <= given == set(compose_service("edge")["environment"])
    secrets = {
        entry["name"]
        for entry in container(everything.pods["edge"])["env"]
        if "secretKeyRef" in entry.get("valueFrom", {})
    }
    assert secrets == {"NIGHTLIGHT_STORE_SECRET_ACCESS_KEY", "NIGHTLIGHT_EDGE_PURGE_TOKEN"}
    sizes = {
        volume["name"]: volume["emptyDir"].get("sizeLimit")
        for volume in everything.pods["edge"]["spec"]["volumes"]
        if "emptyDir" in volume
    }
    assert files["nightlight.conf.template"].count("max_size=${NIGHTLIGHT_EDGE_CACHE_SIZE}") == 2
    assert sizes["cache"] == f"{2 * 1024 + 256}Mi"


def test_prometheus_asks_every_process_that_has_metrics_and_has_the_alerts(release):
    (monitor,) = release.of_kind("ServiceMonitor")
    asked = [
        each for each in release.of_kind("Service") if matches(monitor["spec"]["selector"], each["metadata"]["labels"])
    ]
    assert {name for each in asked for name in release.chosen(each["spec"]["selector"])} == {
        "service",
        "worker",
        "schedule",
    }
    assert all(each["spec"]["ports"][0]["name"] == monitor["spec"]["endpoints"][0]["port"] for each in asked)
    (rule,) = release.of_kind("PrometheusRule")
    text = (ROOT / "infra/alerts.yaml").read_text("utf-8")
    assert {alert["alert"] for alert in rule["spec"]["groups"][0]["rules"]} == set(re.findall(r"- alert: (\w+)", text))


def test_grafana_finds_the_dashboards_as_they_are(everything):
    boards = everything.by_name["ConfigMap", "nl-dashboards"]
    assert boards["metadata"]["labels"]["grafana_dashboard"] == "1"
    files = sorted((ROOT / "infra/dashboards").glob("*.json"))
    assert boards["data"] == {path.name: path.read_text("utf-8") for path in files}
