import { writeFile } from "node:fs/promises";
import path from "node:path";
import { createInstance, DEFAULT_INSTANCE } from "../../../control-plane/host/instance.ts";
import { writeArchive } from "../../../control-plane/images/archive.ts";
import { assembleImages, type BuildOptions } from "../../../control-plane/images/build.ts";
import { IMAGE_RECIPES, type ImageRecipe, SUITE } from "../../../control-plane/images/recipes.ts";
import { saveImages } from "../../../control-plane/images/save.ts";

/**
 * Builds the images that the test of a school's life on a cluster needs, as archives to be imported there:
 *
 *   sudo node tests/real/cluster/images.ts DIRECTORY [MIRROR]
 *
 * What `classmind image save` writes, the next version of the app (one file more), and Debian's rest-server, where backups go.
 * DIRECTORY/images.json says what they are called; DIRECTORY/*.tar is to be imported. MIRROR is a Debian mirror, where the
 * machine's own is not of Debian. Needs mmdebstrap.
 */
const [directory, mirror] = process.argv.slice(2);
if (directory === undefined) throw new Error("usage: images.ts DIRECTORY [MIRROR]");

const app = IMAGE_RECIPES.find((recipe) => recipe.name === "app");
if (app === undefined) throw new Error("there is no app");
const NEXT_APP: ImageRecipe<"next-app"> = {
  ...app,
  name: "next-app",
  files: [...app.files, { source: "README.md", target: "/app/next-version", mode: 0o644 }],
};
const REST_SERVER: ImageRecipe<"rest-server"> = {
  ...app,
  name: "rest-server",
  rootfs: { ...app.rootfs, name: "rest-server", packages: ["restic-rest-server", "ca-certificates"] },
  node: false,
  tenantApp: false,
  bundles: [],
};

const options: BuildOptions = {
  onProgress: (message) => process.stderr.write(`  ${message}\n`),
  ...(mirror === undefined ? {} : { debian: { lines: [`deb ${mirror} ${SUITE} main`] } }),
};
const instance = createInstance(DEFAULT_INSTANCE);
const saved = await saveImages(instance, directory, undefined, options);
const further = await assembleImages(instance, [NEXT_APP, REST_SERVER], options, async (image, name, scratch) => {
  await writeArchive(image, scratch, path.join(directory, `${name}.tar`));
});
const references = Object.fromEntries([...saved.map(({ name, reference }) => [name, reference]), ...further]);
await writeFile(path.join(directory, "images.json"), `${JSON.stringify(references, undefined, 2)}\n`);
process.stdout.write(`${JSON.stringify(references, undefined, 2)}\n`);
