import { createApp } from "heddle";
import { countdown } from "./graph.js";

/**
 * One server per process: Next loads this module again when it reloads in development.
 * Runs go on after the response, so this needs a long-lived Node process, not a serverless function.
 */
export const heddle = (globalThis.heddle ??= createApp({
  graphs: { countdown },
  storage: process.env.STORAGE ?? "sqlite:.heddle/heddle.db",
  http: { basePath: "/api" },
}));
