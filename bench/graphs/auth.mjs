// The usual handlers: whoever asks owns what he makes, and sees nothing else.
import { Auth } from "@langchain/langgraph-sdk/auth";

const users = new Map([["", { identity: "bench", permissions: [] }]]);

export const auth = new Auth()
  .authenticate((request) => users.get(request.headers.get("authorization") ?? "") ?? null)
  .on("*", ({ value, user }) => {
    if (value.metadata !== undefined) value.metadata = { ...value.metadata, owner: user.identity };
    return { owner: user.identity };
  });
