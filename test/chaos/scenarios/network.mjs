/** 5, 6 and 7: links that are half-open, cut, or slow. */

const LOST = 1_200;

/** A half-open link. It heals by a reconnect, so the clock starts with the fault. */
function halfOpen(name, title, how) {
  return {
    name,
    title,
    async fault({ applications }) {
      for (const { links } of applications) {
        for (const link of links) link.freeze(how);
      }
    },
    // Such a fault would lose no message.
    mayBeQuiet: false,
  };
}

export const network = [
  halfOpen('half-open', 'half-open links, both directions'),
  halfOpen('half-open-answers', 'half-open links, only answers are swallowed', {
    up: false,
  }),
  halfOpen(
    'half-open-requests',
    'half-open links, only requests are swallowed',
    {
      down: false,
    },
  ),
  halfOpen('half-open-subscriptions', "half-open links, subscribers' only", {
    only: ({ subscribes }) => subscribes,
  }),
  halfOpen('half-open-commands', "half-open links, all but subscribers'", {
    only: ({ subscribes }) => !subscribes,
  }),
  {
    name: 'black-hole',
    title: "a reader's and a writer's link swallow everything, new ones, too",
    async fault(stage) {
      eachLink(affected(stage), (link) => link.blackHole());
      await stage.writes(LOST);
      await stage.last(1_000, 25_000);
    },
    heal: (stage) => eachLink(affected(stage), (link) => link.heal()),
  },
  {
    name: 'opening-swallowed',
    title: "a reader's and a writer's connections break, new ones swallow all",
    async fault(stage) {
      eachLink(affected(stage), (link) => {
        link.swallowNew();
        link.drop();
      });
      await stage.writes(LOST);
    },
    // Connections opened until now stay silent for ever, also those of second tiers.
    heal: (stage) => eachLink(affected(stage), (link) => link.heal()),
  },
  partition(
    'partition-reader',
    'partition: writers reach Redis, readers do not',
    (stage) => stage.readers,
  ),
  partition(
    'partition-writer',
    'partition: readers reach Redis, writers do not',
    (stage) => stage.writers,
  ),
  slow('slow-200ms', 'Redis slow: 200 ms', () => 200),
  slow('slow-2s', 'Redis slow: 2 s', () => 2_000),
  slow(
    'slow-jitter',
    'Redis slow: 0 to 500 ms, anew for each packet',
    () => Math.random() * 500,
  ),
];

function eachLink(applications, act) {
  for (const { links } of applications) links.forEach(act);
}

function affected({ readers, writers }) {
  return [readers[0], writers[0]];
}

function partition(name, title, whom) {
  return {
    name,
    title,
    async fault(stage) {
      eachLink(whom(stage), (link) => link.sever());
      await stage.writes(LOST);
    },
    heal: (stage) => eachLink(whom(stage), (link) => link.heal()),
  };
}

/** A slow link, with the latency in each direction: a round trip takes twice that. */
function slow(name, title, latency) {
  return {
    name,
    title,
    async fault(stage) {
      eachLink(stage.applications, (link) => (link.latency = latency));
      await stage.writes(LOST);
      await stage.last(1_000, 10_000);
    },
    heal: (stage) => eachLink(stage.applications, (link) => link.heal()),
  };
}
