import { ConfigError } from "./ground/config.ts";

const usage = `Usage: main.mjs migrate | serve | admin <command>
  migrate   brings the school's database to this version
  serve     starts the school's web server
  admin     runs one command: JSON in, JSON out; \`admin help\` lists them
`;

/** The first process of a container does not end by a signal that it does not handle; until something serves, at once. */
const endAtOnce = (): void => process.exit(143);
process.on("SIGTERM", endAtOnce);

async function main(): Promise<void> {
  const [verb, ...rest] = process.argv.slice(2);
  switch (verb) {
    case "migrate":
      return runMigrate();
    case "serve":
      return runServe();
    case "admin": {
      const { runAdmin } = await import("./ground/operator/run.ts");
      const { register } = await import("./features.ts");
      process.exitCode = await runAdmin(register, rest, process.env);
      return;
    }
    default:
      process.stderr.write(usage);
      process.exitCode = 64;
  }
}

async function runMigrate(): Promise<void> {
  const { migrateConfig } = await import("./ground/config.ts");
  const { databasePassword } = await import("./ground/secrets.ts");
  const { migrate } = await import("./ground/database/migrate.ts");
  const config = migrateConfig(process.env);
  const password = await databasePassword(config.secretsDir, "owner");
  const applied = await migrate({ ...config, password });
  process.stderr.write(applied.length > 0 ? `applied: ${applied.join(", ")}\n` : "schema is current\n");
}

async function runServe(): Promise<void> {
  const { serveConfig } = await import("./ground/config.ts");
  const { serve } = await import("./ground/serve/serve.ts");
  const { register } = await import("./features.ts");
  const config = serveConfig(process.env);
  const serving = await serve(config, register);
  const { releaseStartupMemory } = await import("./ground/serve/memory.ts");
  setTimeout(releaseStartupMemory, 5_000).unref();
  let stopping = false;
  const stop = (lingerMs: number) => {
    if (!stopping) {
      stopping = true;
      // The deadline holds even if something never finishes.
      setTimeout(() => process.exit(1), 25_000).unref();
      serving.stop(lingerMs).then(() => process.exit(0));
    }
  };
  process.on("SIGTERM", () => stop(config.lingerMs));
  process.off("SIGTERM", endAtOnce);
  process.on("SIGINT", () => stop(0));
}

main().catch((error: unknown) => {
  const message = error instanceof ConfigError ? error.message : describe(error);
  process.stderr.write(`${message}\n`);
  process.exitCode = 1;
});

function describe(error: unknown): string {
  if (!(error instanceof Error)) {
    return String(error);
  }
  const cause = error.cause instanceof Error ? ` (${error.cause.message})` : "";
  return `${error.message}${cause}`;
}
