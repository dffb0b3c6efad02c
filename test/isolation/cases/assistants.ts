import { SECRET } from "../things.js";
import { by, type Cases, lists, type Variant } from "./variant.js";

const A =
  (rest = "") =>
  ({ assistantId }: { readonly assistantId: string }) =>
    `/assistants/${assistantId}${rest}`;

/** docs/wire/langgraph-api.md §7.5: an id that is taken is told. */
const taken = (ifExists: string): Variant => ({
  ...by(
    `over a taken id, if_exists ${ifExists}`,
    () => "/assistants",
    ({ assistantId }) => ({ assistant_id: assistantId, graph_id: "echo", if_exists: ifExists }),
  ),
  differs: { section: "§7.5", hidden: 409, missing: 200 },
});

export const assistantCases: Cases = {
  "POST /assistants": [taken("raise"), taken("do_nothing")],
  "POST /assistants/search": [
    lists("all", "/assistants/search", () => ({})),
    lists("one of many", "/assistants/search", () => ({ limit: 1 })),
    lists("beyond", "/assistants/search", () => ({ limit: 1, offset: 1 })),
    lists("by metadata", "/assistants/search", () => ({ metadata: { topic: SECRET } })),
    lists("by another's mark", "/assistants/search", () => ({ metadata: { owner: "ann", tenant: "ann" } })),
    lists("by name", "/assistants/search", () => ({ name: SECRET })),
    lists("by graph", "/assistants/search", () => ({ graph_id: "echo", sort_by: "name" })),
  ],
  "POST /assistants/count": [
    lists("all", "/assistants/count", () => ({})),
    lists("by metadata", "/assistants/count", () => ({ metadata: { topic: SECRET } })),
    lists("by another's mark", "/assistants/count", () => ({ metadata: { owner: "ann" } })),
    lists("by name", "/assistants/count", () => ({ name: SECRET, graph_id: "echo" })),
  ],
  "GET /assistants/:assistant_id": [by("get", A())],
  "PATCH /assistants/:assistant_id": [
    by("rename", A(), () => ({ name: "mine" })),
    by("take over", A(), () => ({ metadata: { owner: "me", tenant: "me" } })),
    by("context alone", A(), () => ({ context: { hint: "x" } })),
    by("another graph", A(), () => ({ graph_id: "counter" })),
  ],
  "DELETE /assistants/:assistant_id": [by("delete", A()), by("with its threads", A("?delete_threads=true"))],
  "GET /assistants/:assistant_id/graph": [by("draw", A("/graph")), by("xray", A("/graph?xray=2"))],
  "GET /assistants/:assistant_id/schemas": [by("schemas", A("/schemas"))],
  "GET /assistants/:assistant_id/subgraphs": [by("subgraphs", A("/subgraphs?recurse=true"))],
  "GET /assistants/:assistant_id/subgraphs/:namespace": [by("one", A("/subgraphs/sub"))],
  "POST /assistants/:assistant_id/versions": [
    by("versions", A("/versions"), () => ({})),
    by("by metadata", A("/versions"), () => ({ metadata: { topic: SECRET }, limit: 1, offset: 1 })),
  ],
  "POST /assistants/:assistant_id/latest": [
    by("a version that there is", A("/latest"), () => ({ version: 1 })),
    by("one that there is not", A("/latest"), () => ({ version: 99 })),
  ],
};
