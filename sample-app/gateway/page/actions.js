import { byId, count, duration, write } from './dom.js';

const NAMES = ['Grace Hopper', 'Ada Lovelace', 'Radia Perlman', 'Karen Jones'];

let updates = 0;

export const post = (content = {}) => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(content),
});

/** Runs the action of a button, and shows its result. */
export async function act(path, request, tell) {
  const begun = performance.now();
  const result = byId('result');
  try {
    const response = await fetch(path, request);
    const text = await response.text();
    const answer = text === '' ? null : JSON.parse(text);
    if (!response.ok) throw new Error(refusal(answer, response));
    const ms = performance.now() - begun;
    write(result, tell(answer, { response, time: duration(ms) }));
    result.dataset.state = 'done';
  } catch (error) {
    write(result, error.message);
    result.dataset.state = 'failed';
  }
}

export function startActions() {
  onSubmit('user', ({ name }) => (name === 'update' ? update() : read()));
  onSubmit('load', load);
  onSubmit('pattern', () =>
    publish('pattern', { pattern: byId('pattern-text').value }),
  );
  onSubmit('batch', () => publish('batch', { keys: keys() }));
}

function onSubmit(form, submit) {
  byId(form).addEventListener('submit', (event) => {
    event.preventDefault();
    void submit(event.submitter ?? {});
  });
}

function read() {
  const id = byId('user-id').value;
  return act(`users/${id}`, {}, (user, { response, time }) => {
    const source = response.headers.get('x-cache');
    const where =
      source === 'MISS'
        ? 'in no cache, so user-service was asked'
        : `in ${source}`;
    return `User ${id} is “${user.name}”, version ${user.version}; found ${where}, in ${time}.`;
  });
}

function update() {
  const id = byId('user-id').value;
  const name = NAMES[updates++ % NAMES.length];
  return act(
    `users/${id}`,
    { ...post({ name }), method: 'PUT' },
    (user, { time }) =>
      `User ${id} is “${user.name}” now, version ${user.version}; answered in ${time}. Read it.`,
  );
}

function publish(what, content) {
  const from = byId('from').value;
  return act(`services/${from}/${what}`, post(content), (receipt) =>
    receipt.status === 'delivered'
      ? `The ${what} was delivered to ${count(receipt.receivers)} connections, this page's among them.`
      : `The ${what} is ${receipt.status}: ${from} cannot reach Redis, and keeps it in its outbox.`,
  );
}

function load() {
  const from = byId('from').value;
  return act(
    `services/${from}/load`,
    post(),
    ({ messages }) => `${from} publishes ${count(messages)} messages.`,
  );
}

function keys() {
  return byId('batch-keys')
    .value.split(',')
    .map((key) => key.trim())
    .filter((key) => key !== '');
}

function refusal(answer, { status }) {
  const said = answer?.message ?? `HTTP ${status}`;
  return Array.isArray(said) ? said.join('; ') : said;
}
