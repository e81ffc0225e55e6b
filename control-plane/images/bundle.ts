import { join } from "node:path";
import { type BuildOptions, build, type Plugin } from "esbuild";

/** Root of the checkout that this program was started from. */
export const REPOSITORY = join(import.meta.dirname, "..", "..");

/**
 * Parts of dependencies that are never reached on a Unix socket or a cluster (SSH and gRPC of the container engine's client,
 * drivers of other databases) and have native code, which a bundle cannot hold.
 */
const UNUSED = /^(ssh2|cpu-features|@grpc\/grpc-js|@grpc\/proto-loader|pg-native|pg-cloudflare)$/;

const withoutUnused: Plugin = {
  name: "without-unused",
  setup: (bundler) => {
    bundler.onResolve({ filter: UNUSED }, ({ path }) => ({ path, namespace: "unused" }));
    bundler.onLoad({ filter: /.*/, namespace: "unused" }, () => ({ contents: "module.exports = {};", loader: "js" }));
  },
};

const BUNDLED = {
  // Names of modules stay in the bundle: relative to this, and so equal wherever the checkout lies and whoever calls from where.
  absWorkingDir: REPOSITORY,
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node24",
  legalComments: "none",
  logLevel: "silent",
  plugins: [withoutUnused],
  // CommonJS packages inside an ES module ask for `require`.
  banner: { js: 'import { createRequire as __cr } from "node:module"; const require = __cr(import.meta.url);' },
} satisfies BuildOptions;

/**
 * TypeScript programs in one directory as JavaScript, with what they share and what they load later in files of its own. The same
 * sources give the same bytes.
 * @param entries name of each program's file, without its end (.mjs), and its source
 * @param without modules, as the sources import them, that stay out
 */
export async function bundlePrograms(
  entries: Readonly<Record<string, string>>,
  directory: string,
  without: readonly string[] = [],
): Promise<void> {
  await build({
    ...BUNDLED,
    entryPoints: { ...entries },
    outdir: directory,
    splitting: true,
    external: [...without],
    outExtension: { ".js": ".mjs" },
  });
}
