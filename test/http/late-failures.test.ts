import { expect, test } from "vitest";
import { ANONYMOUS } from "../../src/core/auth.js";
import { HeddleError } from "../../src/core/errors.js";
import { encodeLateError } from "../../src/wire/errors.js";
import { openHttpApp } from "./app.js";

/** Longer than any test; ends when it is told to. */
const long = { assistant_id: "slow", input: { ms: 20, steps: 4_000 }, config: { recursion_limit: 9_999 } };

/** What follows a head that was sent before the failure. */
async function documentOf(response: Response): Promise<unknown> {
  expect(response.status).toBe(200);
  return (JSON.parse(await response.text()) as { __error__: unknown }).__error__;
}

test("tells those who wait for a run that the server shuts down, by its name", async () => {
  const app = await openHttpApp({ worker: { drainMs: 0 } });
  const waiting = await app.request("POST", `/threads/${await app.newThread()}/runs/wait`, long);
  await app.close();
  expect(await documentOf(waiting)).toEqual({
    error: "ShuttingDown",
    message: expect.stringMatching(/^The server is shutting down\. \(request .+\)$/) as string,
  });
  expect(app.log.filter(({ level }) => level === "error")).toEqual([]);
});

test("tells those who wait for a stateless run that its result is gone, by its name", async () => {
  const app = await openHttpApp();
  const waiting = await app.request("POST", "/runs/wait", long);
  const [, threadId = ""] = /\/threads\/([^/]+)\//.exec(waiting.headers.get("location") ?? "") ?? [];
  await app.services.threads.delete(ANONYMOUS, threadId);
  expect(await documentOf(waiting)).toEqual({
    error: "EventsGone",
    message: "The result of this stateless run is no longer kept.",
  });
});

test("says nothing of the inside of what nobody expected", () => {
  const secret = "postgres://user:secret@host";
  const away = new HeddleError("STORAGE_UNAVAILABLE", { message: secret });
  const internal = { error: "InternalServerError", message: "Internal server error (request r1)" };
  expect(encodeLateError(new Error(secret), "r1")).toEqual(internal);
  expect(encodeLateError(new HeddleError("INTERNAL", { message: secret }), "r1")).toEqual(internal);
  expect(encodeLateError(away, "r1")).toEqual({
    error: "StorageUnavailable",
    message: "The storage is not available. (request r1)",
  });
});
