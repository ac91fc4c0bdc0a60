import { describe, expect, it } from 'vitest';
import { BegunWork, namesOf } from '../../lib/publisher/index.js';

const USERS = { subjects: ['User', 'feed:*'] };
const POSTS = { subjects: ['Post', 'feed:*'] };

/** Lets every promise that is settled run its callbacks. */
const breathe = (): Promise<void> =>
  new Promise((resolve) => setImmediate(resolve));

/** A wait that tells whether it is over. */
function waitFor(work: BegunWork, most?: number): { over: boolean } {
  const wait = { over: false };
  void work.whenDone(most).then(() => (wait.over = true));
  return wait;
}

describe('BegunWork', () => {
  it('counts the work that has begun and has not ended', () => {
    const work = new BegunWork();
    expect(work.count).toBe(0);
    work.begin(USERS);
    work.begin(USERS);
    work.begin(POSTS);
    expect(work.count).toBe(3);
    work.end(USERS);
    expect(work.count).toBe(2);
    work.end(USERS);
    work.end(POSTS);
    expect(work.count).toBe(0);
  });

  it('names the subjects of the work under way, each once, until the last of a kind has ended', () => {
    const work = new BegunWork();
    work.begin(USERS);
    work.begin(USERS);
    work.begin(POSTS);
    expect(work.subjects()).toEqual(['User', 'feed:*', 'Post']);
    work.end(USERS);
    expect(work.subjects()).toEqual(['User', 'feed:*', 'Post']);
    work.end(USERS);
    expect(work.subjects()).toEqual(['Post', 'feed:*']);
    work.end(POSTS);
    expect(work.subjects()).toEqual([]);
  });

  it('whenDone() resolves at once where nothing is under way', async () => {
    const work = new BegunWork();
    const wait = waitFor(work);
    await breathe();
    expect(wait.over).toBe(true);
  });

  it('whenDone() resolves when the last work has ended', async () => {
    const work = new BegunWork();
    work.begin(USERS);
    work.begin(POSTS);
    const wait = waitFor(work);
    work.end(POSTS);
    await breathe();
    expect(wait.over).toBe(false);
    work.end(USERS);
    await breathe();
    expect(wait.over).toBe(true);
  });

  it('whenDone() leaves out as much work as its caller names, and does not end the waits of others', async () => {
    const work = new BegunWork();
    work.begin(USERS);
    const already = waitFor(work, 1);
    work.begin(USERS);
    const all = waitFor(work);
    const others = waitFor(work, 1);
    await breathe();
    expect([already.over, others.over, all.over]).toEqual([true, false, false]);

    work.end(USERS);
    await breathe();
    expect([others.over, all.over]).toEqual([true, false]);

    work.end(USERS);
    await breathe();
    expect(all.over).toBe(true);
  });

  it('whenDone() of a later wait is not resolved by an earlier end', async () => {
    const work = new BegunWork();
    work.begin(USERS);
    const first = waitFor(work);
    work.end(USERS);
    work.begin(USERS);
    const second = waitFor(work);
    await breathe();
    expect([first.over, second.over]).toEqual([true, false]);
  });
});

describe('namesOf()', () => {
  const names = (count: number): string[] =>
    Array.from({ length: count }, (_, index) => `Type${index}`);

  it('lists ten names, each once', () => {
    expect(namesOf([...names(10), ...names(3)])).toEqual(names(10));
  });

  it('counts the names beyond ten', () => {
    expect(namesOf(names(11))).toEqual([...names(10), '1 more']);
    expect(namesOf(names(25))).toEqual([...names(10), '15 more']);
  });
});
