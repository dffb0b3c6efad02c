import { JSON_ANSWER, NO_CONTENT } from "../../http/route.js";
import { encodeList } from "../../wire/json.js";
import type { ProtocolRoute } from "../protocol.js";
import {
  decodeDeleteThread,
  decodeGetTuple,
  decodeList,
  decodePut,
  decodePutWrites,
  deleteThreadBody,
  encodeRef,
  encodeRow,
  encodeTuple,
  getTupleBody,
  listBody,
  putBody,
  putWritesBody,
} from "./checkpoint-wire.js";
import type { CheckpointOperations } from "./checkpoints.js";
import { exactBody } from "./exact-json.js";

export function checkpointRoutes(checkpoints: CheckpointOperations): readonly ProtocolRoute[] {
  return [
    {
      method: "post",
      path: "/checkpoints/get-tuple",
      summary: "Get a checkpoint with its blobs and pending writes, or null",
      body: getTupleBody,
      answer: JSON_ANSWER,
      errors: [404, 413],
      async handle(exchange) {
        const request = decodeGetTuple(await exchange.body());
        return exchange.json(encodeTuple(await checkpoints.getTuple(exchange.caller, request)));
      },
    },
    {
      method: "post",
      path: "/checkpoints/put",
      summary: "Keep a checkpoint",
      body: putBody,
      answer: JSON_ANSWER,
      errors: [404, 413],
      async handle(exchange) {
        const put = decodePut(await exactBody(exchange));
        await checkpoints.put(exchange.caller, put);
        return exchange.json(encodeRef(put));
      },
    },
    {
      method: "post",
      path: "/checkpoints/put-writes",
      summary: "Keep what a task has written",
      body: putWritesBody,
      answer: NO_CONTENT,
      errors: [404, 413],
      async handle(exchange) {
        await checkpoints.putWrites(exchange.caller, decodePutWrites(await exchange.body()));
        return exchange.empty(204);
      },
    },
    {
      method: "post",
      path: "/checkpoints/list",
      summary: "List checkpoints of a thread, newest first",
      body: listBody,
      answer: JSON_ANSWER,
      async handle(exchange) {
        const rows = await checkpoints.list(exchange.caller, decodeList(await exchange.body()));
        return exchange.json(encodeList(rows.map(encodeRow)));
      },
    },
    {
      method: "post",
      path: "/checkpoints/delete-thread",
      summary: "Delete the checkpoints of a thread",
      body: deleteThreadBody,
      answer: NO_CONTENT,
      errors: [404],
      async handle(exchange) {
        await checkpoints.deleteThread(exchange.caller, decodeDeleteThread(await exchange.body()));
        return exchange.empty(204);
      },
    },
  ];
}
