import { Auth, HTTPException } from "@langchain/langgraph-sdk/auth";

/** `Authorization: Bearer fuzz`; everybody sees what is theirs. */
export const auth = new Auth()
  .authenticate((request) => {
    if (request.headers.get("authorization") === "Bearer fuzz") return { identity: "fuzz", permissions: [] };
    throw new HTTPException(401, { message: "Unauthorized", headers: { "www-authenticate": "Bearer" } });
  })
  .on("*", ({ value, user }) => {
    value.metadata = { ...value.metadata, owner: user.identity };
    return { owner: user.identity };
  })
  .on("store", () => true);
