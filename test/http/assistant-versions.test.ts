import { expect, it } from "vitest";
import { SERVER } from "../../src/core/auth.js";
import { openOwned } from "./users.js";

it("a version from before an assistant changed hands is not brought back, nor listed", async () => {
  const { app, ann, bob } = await openOwned();
  const made = await ann("POST", "/assistants", { graph_id: "counter", metadata: { n: 1 } });
  const id = String(made.body["assistant_id"]);
  await app.services.assistants.update(SERVER, id, { metadata: { owner: "bob" } });
  expect(await bob("POST", `/assistants/${id}/latest`, { version: 1 })).toMatchObject({ status: 404 });
  expect((await bob("GET", `/assistants/${id}`)).body["metadata"]).toMatchObject({ owner: "bob" });
  expect((await bob("POST", `/assistants/${id}/versions`, {})).body).toMatchObject([{ version: 2 }]);
  expect((await ann("POST", `/assistants/${id}/versions`, {})).status).toBe(404);
  expect((await bob("POST", `/assistants/${id}/latest`, { version: 2 })).status).toBe(200);
});
