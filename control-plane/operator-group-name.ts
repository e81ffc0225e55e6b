/** The group whose members may open the API's socket on one machine: see host/operator-group.ts. */
export const OPERATOR_GROUP = "classmind";
