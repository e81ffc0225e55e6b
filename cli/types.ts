import type {
  BackupView,
  ClockView,
  EngineView,
  OperationView,
  RolloutView,
  TenantView,
} from "../control-plane/api/schemas.ts";

/** What the API answers: the types of its own schemas, of which nothing but the names reaches this program. */
export type Tenant = Readonly<TenantView>;
export type Operation = Readonly<OperationView>;
export type Backup = Readonly<BackupView>;
export type Clock = Readonly<ClockView>;
export type Engine = Readonly<EngineView>;
export type Rollout = Readonly<RolloutView>;
export type Condition = Tenant["conditions"][number];
export type ProgressStep = Tenant["progress"][number];
