import { by, type Cases, type Variant } from "./variant.js";

const open = (name: string, path: string): Variant => ({ ...by(name, () => path), isPublic: true });

/** docs/wire/langgraph-api.md §7.2, and what has no data of users. */
export const systemCases: Cases = {
  "GET /ok": [open("alive", "/ok"), open("ready", "/ok?check_db=1")],
  "GET /info": [open("info", "/info")],
  "GET /docs": [open("page", "/docs")],
  "GET /docs/:file": [open("a file that there is not", "/docs/none.js"), open("above", "/docs/..%2f..%2fpackage.json")],
  "GET /openapi.json": [open("document", "/openapi.json")],
  "GET /ui/:graph_id/:file": [
    open("of a graph without one", "/ui/echo/entrypoint.js"),
    open("above", "/ui/echo/..%2f..%2fpackage.json"),
    { ...by("of an assistant", ({ assistantId }) => `/ui/${assistantId}/entrypoint.js`), isPublic: true },
  ],
  "POST /auth/tickets": [
    by(
      "for a thread",
      () => "/auth/tickets",
      ({ threadId }) => ({ thread_id: threadId }),
    ),
    {
      ...by(
        "for any thread",
        () => "/auth/tickets",
        () => ({}),
      ),
      asksNobody: "it only says who asks: each stream asks what they may do",
    },
  ],
  "POST /ui/:graph_id": [
    by(
      "of an assistant",
      ({ assistantId }) => `/ui/${assistantId}`,
      () => ({ name: "card" }),
    ),
    {
      ...by(
        "of a graph",
        () => "/ui/echo",
        () => ({ name: "card" }),
      ),
      asksNobody: "components of a graph are the same for everybody; their files are public",
    },
  ],
};
