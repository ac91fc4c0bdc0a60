import { describe, expect, it } from 'vitest';
import { urlKeys } from '../../lib/cache/binding/url-keys.js';

const ROUTES = {
  User: ['/users', '/users/:id', '/teams/:team/users/:id'],
  Post: '/users/:id/posts',
};

describe('urlKeys()', () => {
  it.each<[string, unknown, readonly string[] | undefined]>([
    ['without a parameter', '/users', ['user:']],
    ['with a slash at its end', '/users/', ['user:']],
    ['without a slash at its beginning', 'users', ['user:']],
    ['with an id', '/users/7', ['user:7']],
    ['with an encoded id', '/users/a%20b', ['user:a b']],
    ['with an id that cannot be decoded', '/users/%zz', ['user:%zz']],
    ['with an empty id', '/users//', ['user:']],
    ['with a query', '/users/7?a=/b&c=?', ['user:7']],
    ['with a fragment', '/users/7#top', ['user:7']],
    ['in another case', '/USERS/Ab', ['user:Ab']],
    [
      'with two parameters, of which the first is the id',
      '/teams/3/users/7',
      ['user:3'],
    ],
    ['of another type', '/users/7/posts', ['post:7']],
    ['of another route', '/health', undefined],
    ['that is longer than a route', '/users/7/8', undefined],
    ['with two slashes inside', '/users//7', undefined],
    ['that is no text', 7, undefined],
  ])('maps a URL %s', (_, url, keys) => {
    expect(urlKeys(ROUTES).cacheKeyOf(url)).toEqual(keys);
  });

  it('maps a URL of several routes to the keys of each', () => {
    const both = urlKeys({ User: '/:id', Post: ['/:id', '/all'] });
    expect(both.cacheKeyOf('/all')).toEqual(['user:all', 'post:all', 'post:']);
  });

  it('ignores a type without paths', () => {
    const keys = urlKeys({ User: undefined, Post: [] });
    expect(keys.cacheKeyOf('/users')).toBeUndefined();
  });

  it.each(['users', '', 'users/', undefined, 7])(
    'rejects the path %j, and says how to write one',
    (path) => {
      expect(() => urlKeys({ User: ['/users', path as string] })).toThrow(
        "urlKeys() cannot be used:\n  - User: a path does not begin with a slash. Give paths such as '/users/:id'.",
      );
    },
  );
});
