"""The published clients that the suite is about are the ones that are installed."""

import importlib.metadata
import inspect

import agentex
import openwop_client
import pytest
import snapstate_sdk
from openwop2 import openwop_client_2


@pytest.mark.parametrize(
    ("package", "version"),
    [("agentex-client", "0.28.4"), ("openwop-client", "1.1.1"), ("snapstate-sdk", "1.0.0")],
)
def test_versions(package, version):
    assert importlib.metadata.version(package) == version


def test_both_openwop_clients_live_side_by_side():
    one, two = inspect.getfile(openwop_client), inspect.getfile(openwop_client_2)
    assert one != two
    assert openwop_client_2.OpenwopClient is not openwop_client.OpenwopClient
    assert openwop_client_2.OpenwopClient.__module__.startswith("openwop_client_2")
    assert agentex.Agentex and agentex.AsyncAgentex and snapstate_sdk.__name__ == "snapstate_sdk"
