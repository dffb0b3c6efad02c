import { HeddleError, isHeddleError } from "../../core/errors.js";
import type { BodyLimits } from "../body-limits.js";
import { parseLimited } from "../body-limits.js";

/**
 * A request's JSON, whatever its content type says; an empty body is `{}` (docs/wire/langgraph-api.md §2.1.1).
 * @param limits.maxBodyBytes counted while the body arrives: `content-length` may be missing
 * @param isRequired an empty one is malformed
 * @throws HeddleError `PAYLOAD_TOO_LARGE`, `MALFORMED_JSON`, `INVALID_REQUEST` for what is over another limit
 */
export async function readJsonBody(
  request: Request,
  limits: BodyLimits & { readonly maxBodyBytes: number },
  isRequired = false,
): Promise<unknown> {
  const text = await readBodyText(request, limits.maxBodyBytes);
  if (text.trim() === "") {
    if (isRequired) throw new HeddleError("MALFORMED_JSON", { message: "The request body is empty: send JSON" });
    return {};
  }
  try {
    return parseLimited(text, limits);
  } catch (error) {
    throw isHeddleError(error) ? error : new HeddleError("MALFORMED_JSON", { cause: error });
  }
}

/** @throws HeddleError `PAYLOAD_TOO_LARGE` */
export async function readBodyText(request: Request, maxBytes: number): Promise<string> {
  const announced = request.headers.get("content-length");
  if (announced !== null) {
    // Node's HTTP parser hands over no more than this.
    if (Number(announced) > maxBytes) throw tooLarge(maxBytes);
    const text = await request.text();
    if (text.length > maxBytes) throw tooLarge(maxBytes);
    return text;
  }
  return request.body === null ? "" : countedText(request.body, maxBytes);
}

async function countedText(body: ReadableStream<Uint8Array>, maxBytes: number): Promise<string> {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let bytes = 0;
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    bytes += value.byteLength;
    if (bytes > maxBytes) {
      await reader.cancel();
      throw tooLarge(maxBytes);
    }
    text += decoder.decode(value, { stream: true });
  }
}

function tooLarge(maxBytes: number): HeddleError {
  return new HeddleError("PAYLOAD_TOO_LARGE", {
    message: `Request body too large: at most ${maxBytes} bytes (limits.maxBodyBytes)`,
  });
}
