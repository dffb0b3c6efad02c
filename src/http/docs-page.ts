import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { HeddleError } from "../core/errors.js";

/** Files of swagger-ui-dist that the page loads, with their media types. */
const ASSETS: Readonly<Record<string, string>> = {
  "swagger-ui.css": "text/css; charset=utf-8",
  "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
  "favicon-32x32.png": "image/png",
};

/** All URLs are relative to `…/docs`, so the page works under any mount path and without the internet. */
const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Heddle API</title>
<link rel="icon" type="image/png" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
`;

const START = `SwaggerUIBundle({ url: "openapi.json", dom_id: "#ui", deepLinking: true, validatorUrl: null });\n`;

const POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:";

/** `GET /docs`. */
export function docsPage(): Response {
  return new Response(PAGE, {
    headers: { "content-type": "text/html; charset=utf-8", "content-security-policy": POLICY },
  });
}

/**
 * `GET /docs/{file}`: only the files that the page names.
 * @throws HeddleError `NOT_FOUND`
 */
export async function docsAsset(name: string): Promise<Response> {
  const cached = { "cache-control": "public, max-age=3600" };
  if (name === "start.js") {
    return new Response(START, { headers: { "content-type": "text/javascript; charset=utf-8", ...cached } });
  }
  const type = Object.hasOwn(ASSETS, name) ? ASSETS[name] : undefined;
  if (type === undefined) throw new HeddleError("NOT_FOUND");
  const bytes = await readFile(join(assetFolder(), name));
  return new Response(new Uint8Array(bytes), { headers: { "content-type": type, ...cached } });
}

/** Beside the built module; in a checkout, where the build copies them from. */
function assetFolder(): string {
  const built = fileURLToPath(new URL("./docs/", import.meta.url));
  if (existsSync(join(built, "swagger-ui.css"))) return built;
  return dirname(createRequire(import.meta.url).resolve("swagger-ui-dist/package.json"));
}
