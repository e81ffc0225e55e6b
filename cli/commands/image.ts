import type { Command } from "commander";
import { DEFAULT_INSTANCE } from "../../control-plane/host/instance.ts";
import type { CommonOptions, Session } from "../session.ts";

/** `classmind image save` */
export function addImageCommands(program: Command, session: Session): void {
  const image = program.command("image").description("container images, for a cluster");
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
