import { describe, expect, it, vi } from 'vitest';
import { VERSION } from '../../lib/publisher/index.js';
import { SelfIntroduction } from '../../lib/subscriber/index.js';
import { makeStream } from '../stream/setup.js';
import { ScriptedTransport } from '../support/scripted.transport.js';

describe('SelfIntroduction', () => {
  it('names the instance and its entity types, and again when they change', () => {
    const { stream, instance } = makeStream();
    const transport = new ScriptedTransport();
    const introduce = vi.spyOn(transport, 'introduce');
    const introduction = new SelfIntroduction(instance, stream, transport);
    const { serviceName, origin } = instance;
    const named = { serviceName, version: VERSION, origin };

    introduction.renew();
    introduction.renew();
    stream.addHandler('one', () => {}, ['User']);
    introduction.renew();
    introduction.renew();
    stream.addHandler('all', () => {}, []);
    introduction.renew();
    introduction.renew();

    expect(introduce.mock.calls).toEqual([
      [{ ...named, types: [] }],
      [{ ...named, types: ['User'] }],
      [{ ...named, types: null }],
    ]);
  });
});
