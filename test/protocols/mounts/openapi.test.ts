import { describe, expect, it } from "vitest";
import { openHttpApp } from "../../http/app.js";
import { echo } from "./echo.js";

interface Operation {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly parameters: readonly { readonly name: string; readonly schema: object }[];
  readonly responses: Record<string, { readonly content?: Record<string, { readonly schema: unknown }> }>;
}
interface Document {
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: { readonly schemas: Record<string, object> };
  readonly tags: readonly { readonly name: string }[];
}

describe("/openapi.json with protocols", () => {
  it("has their routes below their mounts, with their errors and none of ours", async () => {
    const app = await openHttpApp({ protocols: [echo({ path: "/x" }), echo({ port: 0 }, { name: "elsewhere" })] });
    const document = (await app.json("GET", "/openapi.json")).body as Document;
    const ours = Object.keys(document.paths).filter((path) => path.startsWith("/x/"));
    expect(ours).toContain("/x/v1/things/{thing_id}:fork");
    expect(Object.keys(document.paths).filter((path) => path.includes("/v1/things"))).toEqual(
      ours.filter((path) => path.includes("/v1/things")),
    );
    const fork = document.paths["/x/v1/things/{thing_id}:fork"]?.["post"];
    expect(fork).toMatchObject({ tags: ["echo"], parameters: [{ name: "thing_id", in: "path", required: true }] });
    expect(Object.keys(fork?.responses ?? {})).toEqual(["200", "400", "404", "414", "429", "431", "500"]);
    for (const [status, response] of Object.entries(fork?.responses ?? {})) {
      if (status === "200") continue;
      expect(response.content?.["application/json"]?.schema).toEqual({ $ref: "#/components/schemas/echoError" });
    }
    expect(document.components.schemas["echoError"]).toMatchObject({ required: ["oops"] });
    const ids = Object.values(document.paths).flatMap((methods) =>
      Object.values(methods).map((one) => one.operationId),
    );
    expect(new Set(ids).size).toBe(ids.length);
    expect(document.tags.map(({ name }) => name)).toContain("echo");
  });
});
