import { afterEach, beforeEach, expect, it } from "vitest";
import { TokenIssuer } from "../support/token-issuer.js";
import { openHttpApp } from "./app.js";

let issuer: TokenIssuer;
beforeEach(async () => {
  issuer = await new TokenIssuer().open();
  await issuer.addKey("one");
});
afterEach(() => issuer.close());

/** `LANGGRAPH_AUTH` is the `auth` of langgraph.json. */
const withAuth = (auth: object) => openHttpApp({ env: { LANGGRAPH_AUTH: JSON.stringify(auth) } });

it("auth.api_key and auth.jwt of langgraph.json authenticate without code", async () => {
  const keys = await withAuth({ api_key: { owner_key: "by" } });
  expect((await keys.request("POST", "/threads", {})).status).toBe(401);
  const { secret } = await keys.apiKeys.create({ identity: "ada", permissions: ["*"] });
  const made = await keys.request("POST", "/threads", {}, { headers: { "x-api-key": secret } });
  expect(await made.json()).toMatchObject({ metadata: { by: "ada" } });

  const tokens = await withAuth({ jwt: { issuer: issuer.url, audience: "agents" } });
  const headers = { authorization: `Bearer ${await issuer.token()}` };
  expect((await tokens.request("POST", "/threads", {}, { headers })).status).toBe(200);
  const bad = { jwt: { issuer: "http://a.example", audience: "agents" } };
  await expect(withAuth(bad)).rejects.toMatchObject({
    code: "CONFIG_INVALID",
    message: expect.stringMatching(/issuer: must be an https/) as string,
  });
});
