import { Auth, HTTPException } from "@langchain/langgraph-sdk/auth";

interface Value {
  metadata?: Record<string, unknown> | null;
  namespace?: string[] | null;
}

/**
 * The usual rules, written as a user would with the SDK: `Authorization: Bearer <name>`; everybody sees and changes what is
 * theirs; items live below the caller's name.
 */
export function ownersAuth(): Auth {
  return new Auth()
    .authenticate((request) => {
      const name = /^Bearer (\w+)$/.exec(request.headers.get("authorization") ?? "")?.[1];
      if (name === undefined) {
        throw new HTTPException(401, { message: "Who are you?", headers: { "www-authenticate": "Bearer" } });
      }
      return { identity: name, permissions: [`${name}:all`], team: `${name}s` };
    })
    .on("*", ({ value, user }) => {
      const owned = value as Value;
      owned.metadata = { ...owned.metadata, owner: user.identity };
      return { owner: user.identity };
    })
    .on("store", ({ user }) => ({ namespace: { $contains: user.identity } }));
}

export const bearer = (name: string) => ({ authorization: `Bearer ${name}` });
