import { cp, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { brotliCompressSync } from "node:zlib";
import { build, type Plugin } from "esbuild";
import { appRoot } from "./ground/paths.ts";

/** What lies beside the bundle: read at run time, found by `paths.ts`. */
const besides = [
  "migrations",
  "ground/database/grants.sql",
  "ground/database/roles.sql",
  "ground/pages/partials",
  "ground/pages/script.js",
  "ground/pages/stylesheet.css",
  "ground/pages/views",
];

/** Packages that are loaded when they are needed, which is rare, from `node_modules` beside the bundle: an idle school does not carry them. */
const besideTheBundle = ["any-ascii", "pdfkit", "dejavu-fonts-ttf", "nodemailer"];

/** Of these, what is taken as it is: a file at their top by which they are found, and which files. */
const takenAsTheyAre: ReadonlyArray<readonly [name: string, top: string, files: readonly string[]]> = [
  ["any-ascii", "any-ascii", ["package.json", "any-ascii.js", "block.js", "LICENSE"]],
  [
    "dejavu-fonts-ttf",
    "dejavu-fonts-ttf/package.json",
    ["package.json", "LICENSE", "ttf/DejaVuSans.ttf", "ttf/DejaVuSans-Bold.ttf"],
  ],
];

/** How everything is bundled; the banner is for what still asks for modules by `require`. */
const forNode = {
  bundle: true,
  format: "esm",
  platform: "node",
  target: "node24",
  banner: {
    js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
  },
  logLevel: "silent",
} as const;

const homeOf = (file: string): string => createRequire(import.meta.url).resolve(file);

/**
 * Bundles the school platform into `outDir`: `main.mjs`, and beside it the files it reads. The same sources give the
 * same bytes, so that an image can be named by its content.
 */
export async function bundleTenantApp(outDir: string): Promise<void> {
  await mkdir(outDir, { recursive: true });
  await build({
    entryPoints: [join(appRoot, "main.ts")],
    outfile: join(outDir, "main.mjs"),
    absWorkingDir: appRoot,
    ...forNode,
    external: ["pg-native", "pg-cloudflare", ...besideTheBundle],
    minify: false,
    sourcemap: false,
    legalComments: "none",
    plugins: [withoutUnused],
  });
  for (const [name, top, files] of takenAsTheyAre) {
    const from = dirname(homeOf(top));
    for (const file of files) {
      await cp(join(from, file), join(outDir, "node_modules", name, file));
    }
  }
  await bundlePdfkit(join(outDir, "node_modules", "pdfkit"));
  await bundleNodemailer(join(outDir, "node_modules", "nodemailer"));
  const features = await readdir(join(appRoot, "features"));
  const views = features.flatMap((name) => [join("features", name, "views"), join("features", name, "partials")]);
  for (const path of [...besides, ...(await existing(views))]) {
    await cp(join(appRoot, path), join(outDir, path), { recursive: true });
  }
  for (const file of ["stylesheet.css", "script.js"]) {
    await compress(join(outDir, "ground/pages", file));
  }
}

/** A package with all that it needs in one file, as it is found by its name. */
async function bundlePackage(name: string, from: string, entry: string, target: string): Promise<void> {
  await build({
    entryPoints: [join(from, entry)],
    absWorkingDir: from,
    outfile: join(target, "index.mjs"),
    ...forNode,
    legalComments: "inline",
  });
  await cp(join(from, "LICENSE"), join(target, "LICENSE"));
  const { version, license } = JSON.parse(await readFile(join(from, "package.json"), "utf8"));
  await writeFile(
    join(target, "package.json"),
    `${JSON.stringify({ name, version, license, type: "module", exports: "./index.mjs" }, null, 2)}\n`,
  );
}

/** What makes PDFs, without the fonts that are not within a document. */
async function bundlePdfkit(target: string): Promise<void> {
  const from = dirname(dirname(homeOf("pdfkit")));
  await bundlePackage("pdfkit", from, "js/pdfkit.node.mjs", target);
  await cp(join(from, "js/data/sRGB_IEC61966_2_1.icc"), join(target, "data/sRGB_IEC61966_2_1.icc"));
}

/** What sends mail, where an operator lets it. */
async function bundleNodemailer(target: string): Promise<void> {
  const from = dirname(homeOf("nodemailer/package.json"));
  await bundlePackage("nodemailer", from, "dist/esm/nodemailer.js", target);
}

/** The same file in Brotli beside it, as small as it gets: what never changes is compressed once and not for each browser. */
async function compress(file: string): Promise<void> {
  await writeFile(`${file}.br`, brotliCompressSync(await readFile(file)));
}

/**
 * Parts of dependencies that the platform never reaches, but that cost each idle school memory and time at start:
 * Express' body parsers (forms are read by the gate), its list of file types (replies name theirs), zod's messages in
 * other languages (ours are written beside the fields).
 */
const withoutUnused: Plugin = {
  name: "without-unused",
  setup: (bundler) => {
    const empty = (path: string) => ({ path, namespace: "empty" });
    bundler.onResolve({ filter: /^(body-parser|mime-db)$/ }, ({ path }) => empty(path));
    bundler.onResolve({ filter: /^\.\.\/locales\/index\.js$/ }, ({ path, importer }) =>
      /[/\\]zod[/\\]/.test(importer) ? empty(path) : null,
    );
    bundler.onLoad({ filter: /.*/, namespace: "empty" }, () => ({ contents: "module.exports = {};", loader: "js" }));
  },
};

async function existing(paths: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const path of paths) {
    const entries = await readdir(join(appRoot, path)).catch(() => []);
    if (entries.some((entry) => entry.endsWith(".hbs"))) {
      found.push(path);
    }
  }
  return found;
}
