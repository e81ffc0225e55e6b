import { register } from "../../tenant-app/features.ts";
import { serveConfig } from "../../tenant-app/ground/config.ts";
import { serve } from "../../tenant-app/ground/serve/serve.ts";

/** The app of `npm run dev`; tells its parent where it listens. */
const { port } = await serve(serveConfig(process.env), register);
process.send?.(port);
