/** No fault, for comparison; 1 and 2: connections killed by Redis. */

const PUBSUB = ['TYPE', 'pubsub'];
const NORMAL = ['TYPE', 'normal', 'SKIPME', 'yes'];

export const connections = [
  {
    // The first scenario, so that starting the processes does not slow down the
    // others.
    name: 'no-fault',
    title: 'no fault at all, for comparison',
    fault: (stage) => stage.writes(2_000),
  },
  {
    name: 'subscriber-killed',
    title: "subscriber's connection killed, once",
    fault: (stage) => kill(stage, PUBSUB),
    mayBeQuiet: false,
  },
  {
    name: 'subscriber-killed-repeatedly',
    title: "subscriber's connection killed, 15 times",
    fault: (stage) => killRepeatedly(stage, PUBSUB),
  },
  {
    name: 'publisher-connection-killed',
    title: "publisher's connection killed, 15 times",
    fault: (stage) => killRepeatedly(stage, NORMAL),
  },
];

function kill({ redis }, whom) {
  return redis.admin.client('KILL', ...whom);
}

async function killRepeatedly(stage, whom) {
  for (let i = 0; i < 15; i++) {
    await kill(stage, whom);
    await stage.writes(120);
  }
}
