import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  COLLEAGUES,
  FILTERED_ITEMS,
  MEMBERS,
  OWNERS,
  type Profile,
  TEAMS,
  TENANTS,
  TOKENS,
} from "../../isolation/profiles.js";
import { openStateStore } from "../../../src/protocols/state-store/open.js";
import type { OpenProtocol, ProtocolContext } from "../../../src/protocols/protocol.js";
import { follow, type Following, pathOf, serve, type Served } from "./served.js";

/* Every route of the State Store in every way to keep callers apart that the LangGraph API is walked in: what is somebody else's is missing. */

/** The requests of a route, by its place in the table of routes. */
const ASKED: Readonly<Record<string, readonly (readonly [path: string, body?: object])[]>> = {
  "post /v1/state/{workflow_id}/{key}": [[pathOf("secret", "other"), { value: 1 }]],
  "get /v1/state/{workflow_id}/{key}": [[pathOf("secret", "k")]],
  "delete /v1/state/{workflow_id}/{key}": [[pathOf("secret", "k")]],
  "post /v1/state/{workflow_id}/{key}/version": [
    [`${pathOf("secret", "k")}/version`, { value: 1, version: 1 }],
    [`${pathOf("secret", "k")}/version`, { value: 1, version: 7 }],
  ],
  "get /v1/state/{workflow_id}": [["/v1/state/secret"]],
  "get /v1/state/{workflow_id}/{key}/stream": [],
  "get /health": [["/health"]],
};

const PROFILES = [OWNERS, FILTERED_ITEMS, TENANTS, COLLEAGUES, TOKENS, TEAMS, MEMBERS];

it("there is a case for every route, and no more", () => {
  const unused = new Proxy({}, { get: () => () => undefined }) as ProtocolContext;
  const { routes }: Pick<OpenProtocol, "routes"> = openStateStore(unused);
  expect(routes.map(({ method, path }) => `${method} ${path}`).sort()).toEqual(Object.keys(ASKED).sort());
});

describe.each(PROFILES.map((profile): [string, Profile] => [profile.name, profile]))("%s", (_, profile) => {
  let state: Served;
  const headers: Record<string, Readonly<Record<string, string>>> = {};
  let owners: Following;
  beforeAll(async () => {
    state = await serve("memory", { auth: profile.auth() });
    for (const name of ["owner", "stranger"]) headers[name] = await profile.headersOf(state.server, name);
    owners = await follow(`${state.url}${pathOf("secret", "k")}/stream`, headers["owner"]);
    for (const workflow of ["secret", "owners"]) {
      const { status } = await state.send("POST", pathOf(workflow, "k"), { value: "owner's" }, headers["owner"]);
      if (status !== 200) throw new Error(`the owner's own set was answered with ${status}`);
    }
  });
  afterAll(async () => {
    owners.close();
    await state.close();
  });

  it.each(Object.entries(ASKED))("%s of somebody else's is as of nobody's", async (route, requests) => {
    const method = route.slice(0, route.indexOf(" ")).toUpperCase();
    for (const [path, body] of requests) {
      const theirs = await state.send(method, path, body, headers["stranger"]);
      const nobodys = await state.send(method, path.replace("secret", "nobody's"), body, headers["stranger"]);
      const plain = JSON.stringify(theirs.body).replaceAll("secret", "nobody's");
      expect([theirs.status, plain]).toEqual([nobodys.status, JSON.stringify(nobodys.body)]);
      expect(plain).not.toContain("owner's");
    }
  });

  it("changes are told to their owner alone, and the owner's are as they were", async () => {
    const strangers = await follow(`${state.url}${pathOf("secret", "k")}/stream`, headers["stranger"]);
    await state.send("POST", pathOf("secret", "k"), { value: "stranger's" }, headers["stranger"]);
    const set = await state.send("POST", pathOf("secret", "k"), { value: "again" }, headers["owner"]);
    expect(set.body).toEqual({ version: 2 });
    expect((await owners.changes(2)).map(({ newValue }) => newValue)).toEqual(["owner's", "again"]);
    expect((await strangers.changes(1)).map(({ newValue }) => newValue)).toEqual(["stranger's"]);
    strangers.close();
    expect((await state.send("GET", "/v1/state/secret", undefined, headers["owner"])).body).toEqual({ keys: ["k"] });
  });

  it("who may do nothing is refused every route that asks who it is", async () => {
    const denied = await profile.deniedHeaders(state.server);
    for (const [route, requests] of Object.entries(ASKED)) {
      if (route === "get /health") continue;
      const method = route.slice(0, route.indexOf(" ")).toUpperCase();
      for (const [path, body] of requests)
        expect((await state.send(method, path, body, denied)).status, route).toBe(403);
    }
    expect((await state.send("GET", `${pathOf("secret", "k")}/stream`, undefined, denied)).status).toBe(403);
  });
});
