/*
 * Names of second tiers in Redis. Their parts are encoded, so that two services or
 * owners never share a name.
 */

/** The beginning of a tier's names, unless it has a `keyPrefix` of its own. @internal */
export function tierPrefixOf(
  serviceName: string,
  owner: string | undefined,
): string {
  const service = encodeURIComponent(serviceName);
  const suffix = owner === undefined ? '' : `#${encodeURIComponent(owner)}`;
  return `near:${service}${suffix}:`;
}

/** The key of a service's mark. @internal */
export function serviceMarkKeyOf(serviceName: string, channel: string): string {
  const service = encodeURIComponent(serviceName);
  return `near:${service}~foreign:${encodeURIComponent(channel)}`;
}
