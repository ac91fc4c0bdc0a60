/** 12: foreign publishers on the channel. */
import { Forger } from '../forger.mjs';
import { Stranger } from '../stranger.mjs';

export const strangers = [
  {
    name: 'garbage',
    title: 'garbage, foreign messages and duplicates during cuts and kills',
    async fault(stage) {
      const stranger = await Stranger.join(stage);
      stage.onClose(() => stranger.leave());
      await stage.writes(400);
      await stage.redis.admin.client('KILL', 'TYPE', 'pubsub');
      await stage.writes(400);
      stage.readers[0].links[0].sever();
      await stage.writes(800);
      stranger.leave();
    },
    heal: ({ readers }) => readers[0].links[0].heal(),
  },
  {
    name: 'forged-places',
    title: 'messages that claim false places in the journal, during cuts',
    async fault(stage) {
      const forger = await Forger.join(stage);
      stage.onClose(() => forger.leave());
      await stage.writes(400);
      await stage.redis.admin.client('KILL', 'TYPE', 'pubsub');
      await stage.writes(400);
      stage.readers[0].links[0].sever();
      await stage.writes(800);
      forger.leave();
    },
    heal: ({ readers }) => readers[0].links[0].heal(),
  },
];
