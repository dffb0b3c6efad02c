"""A LangGraph graph in Python that keeps its checkpoints in Heddle, by the checkpointer of agentex-sdk as it is published. Run as a
process of its own, with `.venv/langgraph` first on its path: prints one line of JSON.

    python checkpointed_graph.py BASE_URL THREAD_ID start|resume|finish|state|delete [TOKEN]
"""

import asyncio
import importlib.util
import json
import logging
import operator
import sys
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typing_extensions
from agentex import AsyncAgentex
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.graph import END, START, StateGraph, add_messages
from langgraph.types import Command, Send, interrupt

SDK = Path(__file__).parents[2] / ".venv" / "agentex-sdk"


def load_saver():
    """The one module of agentex-sdk, without what the rest of it needs (ddtrace, temporalio, litellm): it takes a logger of it, and
    `typing.override`, which Python 3.11 has only in typing_extensions."""
    if not hasattr(typing, "override"):
        typing.override = typing_extensions.override
    for name in ("agentex.lib", "agentex.lib.utils", "agentex.lib.utils.logging"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["agentex.lib.utils.logging"].make_logger = logging.getLogger
    path = SDK / "agentex/lib/adk/_modules/_http_checkpointer.py"
    spec = importlib.util.spec_from_file_location("agentex_http_checkpointer", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.HttpCheckpointSaver


@dataclass
class Plan:
    """An object that only Python's serializer knows: MessagePack with an extension type."""

    title: str
    steps: frozenset
    weight: float


class State(typing.TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]
    plan: Plan | None
    done: Annotated[list[str], operator.add]
    score: float
    big: int


def plan(state: State) -> dict[str, Any]:
    answer = interrupt({"question": "go on?", "weight": 1.0})
    return {
        "messages": [AIMessage(f"planned: {answer}")],
        "plan": Plan("trip", frozenset({"pack", "go"}), 2.0),
        "score": 1.0,
        # Over the integers that JavaScript has, and below those that MessagePack has.
        "big": 2**62 + 1,
    }


def fan_out(state: State) -> list[Send]:
    return [Send("step", {"name": name}) for name in sorted(state["plan"].steps)]


def step(task: dict[str, str]) -> dict[str, Any]:
    return {"done": [task["name"]]}


def sub_node(state: State) -> dict[str, Any]:
    return {"messages": [AIMessage("checked: " + interrupt("sure?"))]}


def build(saver):
    child = StateGraph(State).add_node("check", sub_node).add_edge(START, "check").compile()
    graph = StateGraph(State)
    graph.add_node("plan", plan).add_node("step", step).add_node("child", child)
    graph.add_edge(START, "plan").add_conditional_edges("plan", fan_out, ["step"])
    graph.add_edge("step", "child").add_edge("child", END)
    return graph.compile(checkpointer=saver)


def plain(values: dict[str, Any]) -> dict[str, Any]:
    out = dict(values)
    out["messages"] = [message.content for message in values.get("messages", [])]
    if isinstance(found := values.get("plan"), Plan):
        out["plan"] = [found.title, sorted(found.steps), found.weight]
    return out


async def history(graph, saver, thread_id: str) -> dict[str, Any]:
    config = {"configurable": {"thread_id": thread_id}}
    # Without a namespace those of subgraphs are listed as well.
    root = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
    every = [found.config["configurable"]["checkpoint_ns"] async for found in saver.alist(config)]
    return {
        "steps": [found.metadata["step"] async for found in graph.aget_state_history(config)],
        "loops": [found.metadata["step"] async for found in saver.alist(root, filter={"source": "loop"}, limit=2)],
        "namespaces": sorted({namespace.split(":")[0] for namespace in every}),
    }


async def main(base_url: str, thread_id: str, action: str, token: str | None = None) -> dict[str, Any]:
    client = AsyncAgentex(base_url=base_url, max_retries=0)
    if token is not None:
        # The saver posts by the HTTP client below, which does not know the key.
        client._client.headers["authorization"] = f"Bearer {token}"
    saver = load_saver()(client)
    graph = build(saver)
    config = {"configurable": {"thread_id": thread_id}}
    if action == "start":
        await graph.ainvoke({"messages": [HumanMessage("hello", id="m1")], "done": [], "score": 0.5}, config)
    elif action in ("resume", "finish"):
        state = await graph.aget_state(config)
        answers = {found.id: "yes" for found in state.interrupts}
        await graph.ainvoke(Command(resume=answers), config)
    elif action == "delete":
        await saver.adelete_thread(thread_id)
    state = await graph.aget_state(config, subgraphs=True)
    return {
        **(await history(graph, saver, thread_id) if action == "finish" else {}),
        "values": plain(state.values),
        "types": {name: type(value).__name__ for name, value in state.values.items()},
        "next": list(state.next),
        "interrupts": [found.value for found in state.interrupts],
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(*sys.argv[1:])), default=str))
