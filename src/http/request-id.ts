import { randomUUID } from "node:crypto";

/** What a client may call its request: nothing that could break a log line. */
const REQUEST_ID = /^[\w.:/+=@-]{1,128}$/;

/** As the client calls its request, or a new id. */
export function requestIdOf(request: Request): string {
  const given = request.headers.get("x-request-id");
  return given !== null && REQUEST_ID.test(given) ? given : randomUUID();
}
