import { from, type MonoTypeOperatorFunction } from 'rxjs';
import { describe, expect, it } from 'vitest';
import {
  batch,
  entity,
  Instance,
  pattern,
  type InvalidationMessage,
} from '../../lib/message/index.js';
import { affecting, fromOthers, ofEntity } from '../../lib/stream/index.js';

const instance = new Instance('test');
const user = instance.stamp(entity('User', 1));
const posts = instance.stamp(batch(['post:1', 'post:2']));
const feed = instance.stamp(pattern('feed:1:*'));

function pass(
  messages: InvalidationMessage[],
  operator: MonoTypeOperatorFunction<InvalidationMessage>,
): InvalidationMessage[] {
  const passed: InvalidationMessage[] = [];
  from(messages)
    .pipe(operator)
    .subscribe((message) => passed.push(message));
  return passed;
}

describe('The operators of a stream of messages', () => {
  it('select the messages that may touch entities of some types', () => {
    const all = [user, posts, feed];
    expect(pass(all, ofEntity('User'))).toEqual([user]);
    expect(pass(all, ofEntity('User', 'Post'))).toEqual([user, posts]);
  });

  it('select the messages that evict a key', () => {
    const all = [user, posts, feed];
    expect(pass(all, affecting('post:2'))).toEqual([posts]);
    expect(pass(all, affecting('feed:1:7'))).toEqual([feed]);
  });

  it('select messages of others, and what stands for messages of others', () => {
    const foreign = { ...user, own: false };
    const widened = instance.widened('missed');
    const all = [user, foreign, widened];
    expect(pass(all, fromOthers())).toEqual([foreign, widened]);
  });
});
