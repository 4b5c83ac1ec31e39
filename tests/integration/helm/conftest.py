import pytest

from tests.support.charts import Helm, Release


@pytest.fixture(scope="session")
def helm(tmp_path_factory):
    return Helm(tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="session")
def release(helm):
    """The example's release."""
    return Release(helm.manifests())


@pytest.fixture(scope="session")
def everything(helm):
    """A release with all that can be turned on."""
    more = [
        "--set=keeper.enabled=true",
        "--set=edge.ingress.enabled=true,edge.ingress.host=pictures.example.com,edge.ingress.tlsSecret=pictures",
        "--set-string=monitoring.dashboardLabels.grafana_dashboard=1",
        "--set=workers.lists.persistentVolumeClaim.claimName=lists",
        "--set=images.pullSecrets={registry},pods.priorityClassName=high,pods.nodeSelector.disk=ssd",
        '--set-json=pods.tolerations=[{"key":"a","operator":"Exists"}]',
        '--set-json=network.moreEgress.schedule=[{"to":[{"ipBlock":{"cidr":"192.0.2.0/24"}}],"ports":[{"port":443}]}]',
        '--set-json=serviceAccounts.worker={"iam.example.com/role":"worker"}',
    ]
    return Release(helm.manifests(*more))
