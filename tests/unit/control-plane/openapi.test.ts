import path from "node:path";
import { describe, expect, it } from "vitest";
import { openApiDocument } from "../../../control-plane/api/openapi.ts";
import { ROUTES } from "../../../control-plane/api/server.ts";

describe("the API", () => {
  it("is described by the OpenAPI document that is checked in; after a change of its routes: vitest --update", async () => {
    const file = path.join(import.meta.dirname, "../../../docs/openapi.json");
    await expect(`${JSON.stringify(openApiDocument(ROUTES), null, 2)}\n`).toMatchFileSnapshot(file);
  });
});
