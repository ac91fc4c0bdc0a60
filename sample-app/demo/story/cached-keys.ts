import type { InstanceName } from '../network.js';
import type { Story } from './story.js';

/** What a gateway keeps in L1. */
export async function cachedKeys(
  { network, http }: Story,
  gateway: InstanceName,
  prefix: string,
): Promise<string[]> {
  const url = `${network.urlOf(gateway)}/cache`;
  const { body } = await http.mustSend<{ l1: string[] }>('GET', url);
  return body.l1.filter((key) => key.startsWith(prefix));
}
