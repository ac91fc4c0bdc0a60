import { batch } from './batch.chapter.js';
import { derivedData } from './derived.chapter.js';
import { latencies } from './latency.chapter.js';
import { manyUpdates } from './many-updates.chapter.js';
import { pattern } from './pattern.chapter.js';
import { plainSql } from './plain-sql.chapter.js';
import { prepare } from './prepare.chapter.js';
import { race } from './race.chapter.js';
import { rollback } from './rollback.chapter.js';
import type { Cast, Story } from './story.js';
import { readUpdateRead } from './update.chapter.js';

/** Runs all chapters of the story. */
export async function tell(story: Story): Promise<Cast> {
  const cast = await prepare(story);
  await readUpdateRead(story, cast);
  await manyUpdates(story, cast);
  await derivedData(story, cast);
  await plainSql(story, cast);
  await race(story, cast);
  await rollback(story, cast);
  await batch(story, cast);
  await pattern(story, cast);
  await latencies(story);
  return cast;
}
