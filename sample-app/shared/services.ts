/** The services, each with the port that it has unless `PORT` says otherwise. */
export const SERVICES = {
  gateway: 3000,
  'user-service': 3001,
  'content-service': 3002,
  'social-service': 3003,
  'communication-service': 3004,
} as const;

export type ServiceName = keyof typeof SERVICES;

/** Nobody outside this machine has any business with a demo. */
export const HOST = '127.0.0.1';

/** The environment variable that says where a service is: `USER_SERVICE_URL`. */
export function urlVariableOf(service: ServiceName): string {
  return `${service.toUpperCase().replaceAll('-', '_')}_URL`;
}
