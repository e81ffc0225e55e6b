import type { Command } from "commander";
import { DEFAULT_INSTANCE } from "../../control-plane/host/instance.ts";
import type { CommonOptions, Session } from "../session.ts";

/** `classmind image …` */
export function addImageCommands(program: Command, session: Session): void {
  const image = program.command("image").description("container images, for a cluster");
  image
    .command("build")
    .description("build the images a cluster needs, from Debian packages, and say what they are called")
    .action(async (_options: unknown, command: Command) => {
      const { buildForCluster } = await import("./image-actions.ts");
      await buildForCluster(session, command.optsWithGlobals<CommonOptions>(), DEFAULT_INSTANCE);
    });
  image
    .command("push <registry>")
    .description("build them and push them to a registry, over TLS, with the login of `skopeo login`")
    .option("--certificate-authority <file>", "PEM of the authority that signed the registry's certificate")
    .addHelpText(
      "after",
      "\nExample:\n  $ skopeo login registry.example\n  $ sudo ./classmind image push registry.example/classmind",
    )
    .action(async (registry: string, _options: unknown, command: Command) => {
      const { pushForCluster } = await import("./image-actions.ts");
      const options = command.optsWithGlobals<CommonOptions & { certificateAuthority?: string }>();
      await pushForCluster(session, options, DEFAULT_INSTANCE, registry);
    });
  image
    .command("save <directory>")
    .description("build the images a cluster needs, from Debian packages, and write them as archives")
    .addHelpText(
      "after",
      "\nExamples:\n  $ sudo ./classmind image save /var/tmp/images\n  $ skopeo copy docker-archive:/var/tmp/images/app.tar docker://registry.example/classmind/app:TAG\n  $ k3s ctr images import /var/tmp/images/app.tar",
    )
    .action(async (directory: string, _options: unknown, command: Command) => {
      // Loaded here alone, like all that works on this machine.
      const { saveForCluster } = await import("./image-actions.ts");
      await saveForCluster(session, command.optsWithGlobals<CommonOptions>(), DEFAULT_INSTANCE, directory);
    });
}
