import { InvalidatesCache } from 'nestjs-cache-invalidation';
import { startApp } from './apps.mjs';
import { interleaved, us } from './measure.mjs';

const CALLS = 20_000;

/** Cost of `@InvalidatesCache`, compared with a call and a publish written by hand. */
export async function decorator(url, rounds) {
  class Users {
    async update(dto) {
      return dto;
    }
    async plain(dto) {
      return dto;
    }
  }
  decorate(Users);
  const app = await startApp(url, 'module', [Users]);
  const users = app.app.get(Users);
  const byHand = async (dto) => {
    const result = await users.plain(dto);
    await app.publisher.invalidate('User', dto.id);
    return result;
  };
  const cost = (call) => async () => {
    const cpu = process.cpuUsage();
    for (let i = 0; i < CALLS; i += 100) {
      await Promise.all(
        Array.from({ length: 100 }, (_, j) => call({ id: String(i + j) })),
      );
    }
    const { user, system } = process.cpuUsage(cpu);
    return (user + system) / CALLS;
  };
  const result = await interleaved(rounds, {
    'publish by hand': cost(byHand),
    decorated: cost((dto) => users.update(dto)),
  });
  await app.close();
  return {
    title: 'The decorator',
    note: `CPU time of a call with its publish, ${CALLS} calls a round, 100 at a time.`,
    columns: ['CPU per call', 'on top'],
    rows: Object.entries(result).map(([name, cpu]) => [
      name,
      us(cpu),
      us(cpu - result['publish by hand']),
    ]),
  };
}

function decorate(type) {
  const descriptor = Object.getOwnPropertyDescriptor(type.prototype, 'update');
  InvalidatesCache('User', (dto) => dto.id)(
    type.prototype,
    'update',
    descriptor,
  );
  Object.defineProperty(type.prototype, 'update', descriptor);
}
