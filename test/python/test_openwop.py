"""OpenWOP's published clients against Heddle: openwop-client 1.1.1 for the first major and 2.7.0 for the second, each through its README's
example and through every method. Both have only a synchronous client."""

import inspect
import json
import queue
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError

import openwop_client as v1
import pytest

from conftest import ROOT, STORAGES, Server, storage_uri
from openwop2 import openwop_client_2 as v2

CONFIG = ROOT / "graphs" / "openwop" / "langgraph.json"
WEBHOOKS = {"LANGGRAPH_WEBHOOKS": json.dumps({"url": {"require_https": False, "disable_loopback": False}})}
AUTH = {"LANGGRAPH_AUTH": json.dumps({"path": str(ROOT / "test/python/owners_auth.ts") + ":auth"})}


@pytest.fixture(scope="module", params=STORAGES)
def mounted(request, tmp_path_factory) -> Iterator[Server]:
    server = Server(storage_uri(request.param, tmp_path_factory.mktemp("openwop")), WEBHOOKS, CONFIG)
    yield server
    assert server.stop() == 0, "".join(server.lines[-50:])


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    server = Server("memory:", AUTH, CONFIG)
    yield server
    server.stop()


@pytest.fixture
def one(mounted: Server) -> v1.OpenwopClient:
    return v1.OpenwopClient(base_url=f"{mounted.url}/openwop/", api_key="any")


@pytest.fixture
def two(mounted: Server) -> v2.OpenwopClient:
    return v2.OpenwopClient(base_url=f"{mounted.url}/openwop/", api_key="any")


@pytest.fixture(scope="module")
def receiver() -> Iterator[tuple[str, queue.Queue]]:
    got: queue.Queue = queue.Queue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            got.put((dict(self.headers), self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{listening.server_port}/hook", got
    listening.shutdown()


def reach(client, run_id: str, *statuses: str):
    deadline = time.monotonic() + 20
    while (snapshot := client.runs_get(run_id)).status not in statuses:
        assert time.monotonic() < deadline, snapshot
        time.sleep(0.02)
    return snapshot


def start(client, fixture: str, **more) -> str:
    module = v1 if isinstance(client, v1.OpenwopClient) else v2
    return client.runs_create(module.CreateRunRequest(workflowId=f"conformance-{fixture}", **more)).runId


def refused(module, call, *args, **more):
    with pytest.raises(module.WopError) as caught:
        call(*args, **more)
    error = caught.value
    assert error.envelope is not None and error.trace_id is not None and len(error.trace_id) == 32
    return error.status, error.envelope.error


class TestFirstMajor:
    def test_the_readmes_example(self, one):
        caps = one.discovery_capabilities()
        assert caps.protocolVersion == "1.0" and caps.limits.envelopesPerTurn >= 0

        resp = one.runs_create(v1.CreateRunRequest(workflowId="conformance-approval", inputs={"foo": "bar"}))
        run_id = resp.runId
        reach(one, run_id, "waiting-approval")
        one.interrupts_resolve_by_run(run_id, "gate", v1.ResolveInterruptRequest(resumeValue={"action": "accept"}))
        while True:
            snap = one.runs_get(run_id)
            if snap.status in {"completed", "failed", "cancelled"}:
                break
            time.sleep(0.02)
        assert snap.status == "completed"

        fork = one.runs_fork(run_id, v1.ForkRunRequest(fromSeq=5, mode="branch"))
        assert (fork.sourceRunId, fork.mode, fork.fromSeq) == (run_id, "branch", 5) and fork.runId != run_id

        events = list(one.runs_events(run_id, stream_mode="updates"))
        assert events[-1].type == "run.completed" and all(event.type != "node.started" for event in events)

    def test_the_readmes_errors(self, one):
        try:
            one.runs_create(v1.CreateRunRequest(workflowId="my-wf"))
            raise AssertionError("my-wf is no workflow")
        except v1.WopError as error:
            assert error.envelope and error.status == 404 and error.envelope.error == "workflow_not_found"
            assert f"(trace={error.trace_id})" in str(error)

    def test_discovery_openapi_and_workflows(self, one):
        assert one.discovery_openapi()["openapi"].startswith("3.1")
        workflow = one.workflows_get("conformance-multi-node")
        assert [node["id"] for node in workflow["nodes"]] == ["a", "b", "c"]
        assert refused(v1, one.workflows_get, "nothing") == (404, "workflow_not_found")
        assert "conformance-noop" in one._request_json("GET", "/.well-known/openwop")["fixtures"]

    def test_runs_create_with_all_that_it_takes(self, one):
        key = f"key-{uuid.uuid4()}"
        body = v1.CreateRunRequest(
            workflowId="conformance-identity",
            inputs={"payload": {"deep": [1, None, "ü"]}},
            configurable=v1.RunConfigurable(recursionLimit=5, temperature=0.5, extras={"own": True}),
            tags=["a", "b"],
            metadata={"m": 1},
        )
        first, again = (one.runs_create(body, idempotency_key=key) for _ in range(2))
        assert first.runId == again.runId and first.eventsUrl.startswith("/openwop/v1/runs/")
        snapshot = reach(one, first.runId, "completed")
        assert snapshot.variables["payload"] == {"deep": [1, None, "ü"]}
        assert (snapshot.tags, snapshot.metadata) == (["a", "b"], {"m": 1})
        assert snapshot.configurable["own"] is True
        other = v1.CreateRunRequest(workflowId="conformance-noop")
        assert refused(v1, one.runs_create, other, idempotency_key=key) == (409, "idempotency_key_mismatch")

    def test_dedup(self, one):
        scope = f"scope-{uuid.uuid4()}"
        body = v1.CreateRunRequest(workflowId="conformance-cancellable", scopeId=scope)
        run_id = one.runs_create(body, dedup=True).runId
        assert refused(v1, one.runs_create, body, dedup=True) == (409, "run_already_active")
        one.runs_cancel(run_id)
        one.runs_cancel(one.runs_create(body, dedup=True).runId)

    def test_a_failure_is_read(self, one):
        snapshot = reach(one, start(one, "failure"), "failed")
        assert snapshot.error.code == "node_execution_failed" and "always fails" in snapshot.error.message

    def test_cancel_and_bulk_cancel(self, one):
        run_id, second = start(one, "cancellable"), start(one, "cancellable")
        cancelled = one.runs_cancel(run_id, v1.CancelRunRequest(reason="enough"), idempotency_key=f"c-{run_id}")
        assert (cancelled.runId, cancelled.status) == (run_id, "cancelled")
        events = one.runs_poll_events(run_id).events
        assert events[-1].payload["reason"] == "enough"
        results = one.runs_bulk_cancel(v1.BulkCancelRunsRequest(runIds=[second, "unknown", run_id])).results
        assert [(result.runId, result.ok) for result in results] == [(second, True), ("unknown", False), (run_id, True)]
        assert isinstance(results[1].error, dict)

    def test_poll_events(self, one):
        run_id = start(one, "multi-node")
        reach(one, run_id, "completed")
        whole = one.runs_poll_events(run_id)
        assert whole.isComplete and [event.sequence for event in whole.events] == list(range(len(whole.events)))
        rest = one.runs_poll_events(run_id, last_sequence=3, timeout_seconds=1)
        assert [event.sequence for event in rest.events] == list(range(4, len(whole.events)))

    def test_events_in_modes_batches_and_from_the_middle(self, one):
        run_id = start(one, "stream-text", inputs={"prompt": "hello"})
        # The client reads frames as they come; `debug` has all of the log.
        events = list(one.runs_events(run_id, stream_mode="debug"))
        whole = one.runs_poll_events(run_id).events
        assert [event.eventId for event in events] == [event.eventId for event in whole]
        assert [event.sequence for event in one.runs_events(run_id, stream_mode=["debug"], last_event_id="2")] == [
            event.sequence for event in whole[3:]
        ]
        batched = list(one.runs_events(run_id, stream_mode="debug", buffer_ms=500))
        assert [event.eventId for event in batched] == [event.eventId for event in whole]
        chunks = [event for event in one.runs_events(run_id, stream_mode=["messages"]) if event.payload["chunk"]]
        assert "hello" in "".join(event.payload["chunk"] for event in chunks)
        with pytest.raises(HTTPError) as caught:
            list(one.runs_events(run_id, stream_mode="nonsense"))
        assert caught.value.code == 400

    def test_interrupts_by_token(self, one):
        run_id = start(one, "clarification")
        reach(one, run_id, "waiting-input")
        token = one._request_json("GET", f"/v1/runs/{run_id}")["interrupt"]["interruptToken"]
        shown = one.interrupts_inspect_by_token(token)
        assert (shown.kind, shown.key) == ("clarification", "ask") and shown.data["questions"][0]["id"] == "q1"
        answer = v1.ResolveInterruptRequest(resumeValue={"answers": {"q1": "yes"}})
        assert one.interrupts_resolve_by_token(token, answer, idempotency_key=f"a-{run_id}")["runId"] == run_id
        assert reach(one, run_id, "completed").variables["answers"] == {"q1": "yes"}
        assert refused(v1, one.interrupts_inspect_by_token, token) == (409, "interrupt_already_resolved")
        assert refused(v1, one.interrupts_inspect_by_token, "nonsense") == (404, "interrupt_not_found")

    def test_a_child_run(self, one):
        run_id = start(one, "subworkflow-parent")
        snapshot = reach(one, run_id, "completed", "failed")
        assert snapshot.status == "completed", snapshot
        assert snapshot.variables["childResult"] == "done"
        (child,) = one._request_json("GET", f"/v1/runs/{run_id}")["childRuns"]
        assert one.runs_get(child["runId"]).workflowId == "conformance-subworkflow-child"

    def test_what_is_not_advertised_is_not_there(self, one):
        assert refused(v1, one.audit_verify, 0, 1) == (404, "not_found")

    def test_keys_are_looked_at(self, guarded):
        url = f"{guarded.url}/openwop"
        nobody = v1.OpenwopClient(base_url=url, api_key="no such key!")
        assert nobody.discovery_capabilities().protocolVersion == "1.0"
        assert refused(v1, nobody.runs_get, "x") == (401, "unauthenticated")
        ann, bob = (v1.OpenwopClient(base_url=url, api_key=name) for name in ("ann", "bob"))
        run_id = start(ann, "noop")
        reach(ann, run_id, "completed")
        assert refused(v1, bob.runs_get, run_id) == (404, "not_found")


class TestSecondMajor:
    def test_the_readmes_example(self, two):
        resp = two.runs_create(v2.CreateRunRequest(workflowId="conformance-identity", inputs={"payload": "hello"}))
        for event in two.runs_events(resp.runId):
            assert (event.sequence >= 0, event.schemaVersion, event.engineVersion) == (True, 3, 1)
            last = event
        assert last.type == "run.completed" and last.runId == resp.runId

    def test_the_readmes_quickstart(self, two):
        caps = two.discovery_capabilities()
        assert (caps.preferredVersion, caps.protocolVersions) == ("2.0", ["2.0"]) and "webhooks" in caps.families

        resp = two.runs_create(
            v2.CreateRunRequest(
                workflowId="conformance-identity",
                inputs={"payload": "hello"},
                configurable=v2.RunConfigurable(run={"runTimeoutMs": 60_000}),
            ),
            idempotency_key=f"idem-{uuid.uuid4()}",
            dedup=True,
        )
        for event in two.runs_events(resp.runId, stream_mode=("updates", "messages")):
            assert event.type != "node.started"

        cursor, seen = None, []
        while True:
            page = two.runs_poll_events(resp.runId, after_sequence=cursor)
            cursor = page.lastSequence
            seen += page.events
            if page.isTerminal:
                break
        assert (page.runId, page.status) == (resp.runId, "completed")
        assert [event.sequence for event in seen] == list(range(len(seen)))

        assert two.runs_compensation(resp.runId) is None

        with pytest.raises(v2.WopError) as caught:
            two.runs_get("tenant/does-not-exist")
        assert caught.value.envelope.error == "not_found"

    def test_both_majors_agree_on_a_run(self, one, two):
        run_id = start(two, "approval", tags=["t"], configurable=v2.RunConfigurable(extensions={"langgraph": {"own": 1}}))
        tenant, own = run_id.split("/")
        first, second = reach(one, own, "waiting-approval"), two.runs_get(run_id)
        for member in ("workflowId", "status", "currentNodeId", "startedAt", "nodeStates", "variables", "tags"):
            assert getattr(first, member) == getattr(second, member)
        assert (second.owner.tenant, second.owner.subject.tenant, second.eventLogSchemaVersion) == (tenant, tenant, 3)
        assert first.configurable == {"own": 1}
        assert second.configurable == {"version": 1, "extensions": {"langgraph": {"own": 1}}}
        one.interrupts_resolve_by_run(own, "gate", v1.ResolveInterruptRequest(resumeValue={"action": "accept"}))
        reach(two, run_id, "completed")
        left, right = one.runs_poll_events(own).events, two.runs_poll_events(run_id).events
        assert [(e.eventId, e.sequence, e.type, e.nodeId) for e in left] == [
            (e.eventId, e.sequence, e.type, e.nodeId) for e in right
        ]

    def test_pause_and_resume_cancel_and_bulk_cancel(self, two):
        run_id = start(two, "cancellable")
        assert two.runs_pause(run_id, v2.PauseRunRequest(reason="lunch", drainPolicy="immediate")).status == "paused"
        assert two.runs_get(run_id).status == "paused"
        assert refused(v2, two.runs_pause, run_id)[0] == 409
        assert two.runs_resume(run_id).runId == run_id
        assert two.runs_cancel(run_id, v2.CancelRunRequest(reason="enough")).status == "cancelled"
        assert refused(v2, two.runs_cancel, run_id) == (409, "run_terminal")
        other = start(two, "cancellable")
        results = two.runs_bulk_cancel(v2.BulkCancelRunsRequest(runIds=[other, "default/unknown"])).results
        assert [(result.runId, result.ok) for result in results] == [(other, True), ("default/unknown", False)]

    def test_fork(self, two):
        run_id = start(two, "multi-node")
        reach(two, run_id, "completed")
        fork = two.runs_fork(run_id, v2.ForkRunRequest(fromSeq=0, mode="replay"), idempotency_key=f"f-{run_id}")
        assert fork.sourceRunId == run_id and fork.runId != run_id
        reach(two, fork.runId, "completed")
        code = refused(v2, two.runs_fork, run_id, v2.ForkRunRequest(fromSeq=999, mode="replay"))
        assert code == (422, "fork_point_invalid")

    def test_interrupts(self, two):
        run_id = start(two, "approval")
        reach(two, run_id, "waiting-approval")
        interrupt = two.runs_get(run_id).interrupt
        assert interrupt["callbackUrl"] == f"/openwop/interrupts/{interrupt['interruptToken']}"
        shown = two.interrupts_inspect_by_token(interrupt["interruptToken"])
        assert (shown.kind, shown.key) == ("approval", "gate")
        refine = v2.ResolveInterruptRequest(resumeValue={"action": "explode"})
        assert refused(v2, two.interrupts_resolve_by_run, run_id, "gate", refine) == (400, "validation_error")
        accept = v2.ResolveInterruptRequest(resumeValue={"action": "accept"})
        resolved = two.interrupts_resolve_by_token(interrupt["interruptToken"], accept)
        assert (resolved["runId"], resolved["nodeId"]) == (run_id, "gate")
        reach(two, run_id, "completed")
        second = start(two, "approval")
        reach(two, second, "waiting-approval")
        assert two.interrupts_resolve_by_run(second, "gate", accept).runId == second

    def test_webhooks(self, two, receiver):
        url, got = receiver
        registered = two.webhooks_register(v2.RegisterWebhookRequest(url=url, events=["run.completed"], tags=["hooked"]))
        assert registered.eventTypes == ["run.completed"] and registered.url == url
        run_id = start(two, "noop", tags=["hooked"])
        headers, body = got.get(timeout=20)
        read = v2.read_webhook_headers(headers)
        outcome = v2.verify_webhook_signature(
            registered.secret, read.signature, read.timestamp, body, algorithm_header=read.algorithm
        )
        assert outcome.valid
        told = json.loads(body)
        assert told["event"]["type"] == "run.completed" and run_id.endswith(told["runId"])
        two.webhooks_unregister(registered.subscriptionId)
        assert refused(v2, two.webhooks_unregister, registered.subscriptionId) == (404, "not_found")
        private = v2.RegisterWebhookRequest(url="http://10.0.0.1/", events=["run.completed"])
        assert refused(v2, two.webhooks_register, private) == (400, "webhook_url_rejected")

    def test_discovery_openapi_and_workflows(self, two):
        assert two.discovery_openapi()["openapi"].startswith("3.1")
        assert [node["id"] for node in two.workflows_get("conformance-multi-node")["nodes"]] == ["a", "b", "c"]

    def test_another_version_is_not_spoken(self, mounted):
        three = v2.OpenwopClient(base_url=f"{mounted.url}/openwop", api_key="any", major=3)
        with pytest.raises(v2.WopError) as caught:
            three.runs_get("default/x")
        assert (caught.value.status, caught.value.envelope.error) == (406, "protocol_version_unsupported")
        assert caught.value.envelope.details == {"protocolVersions": ["2.0"]}

    def test_every_other_method_finds_nothing(self, two):
        """What is not advertised is not there: each method that is not in `SERVED` is told so, whatever it sends."""
        run_id = start(two, "noop")
        methods = {
            name: method
            for name, method in inspect.getmembers(two, inspect.ismethod)
            if not name.startswith("_") and name not in SERVED
        }
        assert len(methods) == 52 and {"agents_list", "prompts_render", "webhooks_rotate_secret"} <= methods.keys()
        for name, method in methods.items():
            given = [
                plausible(one, run_id)
                for one in inspect.signature(method).parameters.values()
                if one.default is inspect.Parameter.empty
            ]
            try:
                answer = method(*given, **({"reconnect": False} if name == "host_events" else {}))
                # Some methods tell it by `None`; a stream, when it is read.
                assert answer is None or list(answer) is None, name
            except v2.WopError as error:
                # What it posts to is also how a run is read whose id is put raw into a path.
                is_run = name == "create_annotation"
                expected = (405, "validation_error") if is_run else (404, "not_found")
                assert (error.status, error.envelope.error) == expected, name
            except HTTPError as error:
                assert (name, error.code) == ("host_events", 404)


SERVED = {
    "discovery_capabilities",
    "discovery_openapi",
    "workflows_get",
    "runs_create",
    "runs_get",
    "runs_cancel",
    "runs_pause",
    "runs_resume",
    "runs_bulk_cancel",
    "runs_fork",
    "runs_poll_events",
    "runs_events",
    "interrupts_resolve_by_run",
    "interrupts_inspect_by_token",
    "interrupts_resolve_by_token",
    "webhooks_register",
    "webhooks_unregister",
}


def plausible(parameter: inspect.Parameter, run_id: str):
    """Something for a parameter of a method that is not served."""
    name, annotation = parameter.name, str(parameter.annotation)
    if name in ("run_id", "against"):
        return run_id
    if name == "subscription_id":
        return "default/x"
    if name == "delivery":
        return "durable"
    if annotation == "RenderPromptRequest":
        return v2.RenderPromptRequest(ref="prompt:x", variables={})
    return {"str": "x", "int": 0}.get(annotation, {})
