import { rm } from "node:fs/promises";
import Dockerode from "dockerode";
import { afterAll, beforeAll, inject, it } from "vitest";
import { createInstance } from "../../../control-plane/host/instance.ts";
import { removeInstanceRemains } from "../remains.ts";
import { testInstance } from "../test-host.ts";
import { engineContract } from "./contract.ts";
import { openTestEngine } from "./open.ts";
import { engineWalls } from "./walls.ts";

/**
 * The contract on Docker in place of Podman, whenever a daemon is given:
 *   CLASSMIND_TEST_DOCKER_SOCKET   its Unix socket
 * It needs neither a bridge of its own nor rules: `dockerd --bridge none --iptables=false` serves, and leaves the host alone.
 */
const { CLASSMIND_TEST_DOCKER_SOCKET: socket } = process.env;

/** Beside the test instance, whose containers are Podman's: everything host-wide has a name of its own here too. */
function dockerInstance() {
  const { name, stateDir, runDir, configDir } = testInstance();
  return createInstance(`${name}dk`, {
    stateDir: `${stateDir}-docker`,
    runDir: `${runDir}-docker`,
    configDir: `${configDir}-docker`,
  });
}

if (socket === undefined) {
  it("contract of the containers engine (on Docker)", (context) =>
    context.skip("no daemon is given: set CLASSMIND_TEST_DOCKER_SOCKET"));
} else {
  const docker = new Dockerode({ socketPath: socket });
  const instance = dockerInstance();

  beforeAll(async () => {
    const podman = new Dockerode({ socketPath: inject("engineSocket") });
    const archive = await podman.getImage(inject("images").app).get();
    const loading = await docker.loadImage(archive);
    await new Promise((resolve, reject) => {
      docker.modem.followProgress(loading, (error) => (error === null ? resolve(undefined) : reject(error)));
    });
  });
  afterAll(async () => {
    await removeInstanceRemains(docker, instance);
    for (const directory of [instance.stateDir, instance.runDir]) await rm(directory, { recursive: true, force: true });
  });

  const open = () => openTestEngine({ instance, dockerSocket: socket, images: [inject("images").app] });
  engineWalls("containers (on Docker)", () => ({ open, instance }));
  engineContract("containers (on Docker)", () => ({
    open,
    image: inject("images").app,
    patience: 30_000,
  }));
}
