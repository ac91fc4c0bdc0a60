/** The fields of one good message; `without` leaves some out, `with` puts others in. */
export const WIRE = {
  message_id: '3497a5ba-f0f9-449b-a722-4780af419938',
  entity_type: 'User',
  entity_id: '123',
  pattern: null,
  entity_ids: null,
  action: 'Delete',
  timestamp: '2026-11-22T13:17:12.876695557Z',
  source_service: 'user-service',
  metadata: null,
};

/** A message as text, some of its fields replaced; `undefined` leaves one out. */
export function wire(changes: Record<string, unknown> = {}): string {
  return JSON.stringify({ ...WIRE, ...changes });
}

/**
 * A message as text, one field of which has a value that JSON.stringify would never
 * write.
 */
export function wireRaw(field: string, json: string): string {
  return `{${JSON.stringify(field)}:${json},${wire({ [field]: undefined }).slice(1)}`;
}
