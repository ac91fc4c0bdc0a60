/** The services, each with its default port. `PORT` overrides it. */
export const SERVICES = {
  gateway: 3000,
  'user-service': 3001,
  'content-service': 3002,
  'social-service': 3003,
  'communication-service': 3004,
} as const;

export type ServiceName = keyof typeof SERVICES;

/** The instances that may run: each service, and a second gateway. */
export const INSTANCE_PORTS = { ...SERVICES, 'gateway-2': 3005 } as const;

export type InstanceName = keyof typeof INSTANCE_PORTS;

/** The demo is reachable from this machine only. */
export const HOST = '127.0.0.1';

/** The environment variable with the instance's URL: `USER_SERVICE_URL`. */
export function urlVariableOf(instance: InstanceName): string {
  return `${instance.toUpperCase().replaceAll('-', '_')}_URL`;
}
