import { isJsonObject, parseJsonText, toJsonText } from "../../../core/json.js";
import type { JsonValue } from "../../../core/json.js";
import type { RunEvent } from "../../../core/run-event.js";
import { sseFrame } from "../follow.js";
import type { RunRecord } from "../run-record.js";
import { eventView, snapshotView } from "./views.js";

/** A frame of the second major: the same events in its shape, one or a batch of them. */
export function sseFrame2(event: RunEvent, record: RunRecord): string {
  const said = parseJsonText(event.data);
  const shown: JsonValue = Array.isArray(said) ? said.map((one: JsonValue) => view(one, record)) : view(said, record);
  return sseFrame({ ...event, data: toJsonText(shown) });
}

function view(said: JsonValue, record: RunRecord): JsonValue {
  if (!isJsonObject(said)) return said;
  const shown = eventView(said, record);
  const { payload } = said;
  if (said["type"] !== "state.snapshot" || !isJsonObject(payload)) return shown;
  return { ...shown, payload: snapshotView(payload, record) };
}
