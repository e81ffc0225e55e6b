import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import Dockerode from "dockerode";
import { afterEach, describe, expect, inject, it } from "vitest";
import { containerEnd } from "../../../control-plane/host/container-end.ts";
import { testInstance } from "../test-host.ts";

const docker = new Dockerode({ socketPath: inject("engineSocket") });
const instance = testInstance();
const name = `${instance.name}-container-end`;

async function start(command: readonly string[]): Promise<Dockerode.Container> {
  const container = await docker.createContainer({
    name,
    Image: inject("images").postgres,
    Cmd: [...command],
    Labels: { "classmind.instance": instance.name },
    HostConfig: {
      NetworkMode: "none",
      Ulimits: [
        { Name: "nofile", Soft: 1024, Hard: 1024 },
        { Name: "nproc", Soft: 1024, Hard: 1024 },
      ],
    },
  });
  await container.start();
  return container;
}

/** Processor time that the engine's service has used so far, in seconds. */
async function processorTime(): Promise<number> {
  const pid = Number(await readFile(join(instance.runDir, "engine.pid"), "utf8"));
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  // Fields 14 and 15 of proc(5), in ticks of a hundredth.
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

afterEach(async () => {
  await docker.getContainer(name).remove({ force: true });
});

describe("waiting for a container's end", () => {
  it("goes on until the container has ended by itself or was killed, and costs the engine nothing meanwhile", async () => {
    const container = await start(["sleep", "600"]);
    let over = false;
    const end = containerEnd(container).then(() => {
      over = true;
    });
    const before = await processorTime();
    await sleep(2_000);
    expect((await processorTime()) - before).toBeLessThan(0.3);
    expect(over).toBe(false);
    await container.kill();
    await end;
  });

  it("is over at once when the container ended before", async () => {
    const container = await start(["true"]);
    while ((await container.inspect()).State.Running) await sleep(20);
    await containerEnd(container);
  });
});
