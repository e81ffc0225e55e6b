import { createInstance, type Instance } from "../../control-plane/host/instance.ts";

/** The instance that tests use: beside a live platform, with everything host-wide under a name of its own. */
export function testInstance(name = "cmtest"): Instance {
  return createInstance(name, {
    stateDir: `/var/tmp/classmind-test/${name}`,
    runDir: `/run/classmind/${name}`,
    configDir: `/var/tmp/classmind-test/${name}-config`,
  });
}
