import { heddle } from "../../../heddle.js";

export const runtime = "nodejs";
export const dynamic = "force-dynamic";

async function handle(request) {
  const server = await heddle;
  return server.fetch(request);
}

export { handle as DELETE, handle as GET, handle as OPTIONS, handle as PATCH, handle as POST, handle as PUT };
