/** The services, each with the port that it has unless `PORT` says otherwise. */
export const SERVICES = {
  gateway: 3000,
  'user-service': 3001,
  'content-service': 3002,
  'social-service': 3003,
  'communication-service': 3004,
} as const;

export type ServiceName = keyof typeof SERVICES;

/** What may run: each service, and of the gateway a second instance. */
export const INSTANCE_PORTS = { ...SERVICES, 'gateway-2': 3005 } as const;

export type InstanceName = keyof typeof INSTANCE_PORTS;

/** Nobody outside this machine has any business with a demo. */
export const HOST = '127.0.0.1';

/** The environment variable that says where it is: `USER_SERVICE_URL`. */
export function urlVariableOf(instance: InstanceName): string {
  return `${instance.toUpperCase().replaceAll('-', '_')}_URL`;
}
