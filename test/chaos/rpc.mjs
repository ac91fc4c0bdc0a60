/** Calls in both directions over the IPC channel between a parent and its child. */
export class Rpc {
  #channel;
  #handlers;
  #waiting = new Map();
  #next = 0;

  /** @param handlers name -> function, for the calls of the other side */
  constructor(channel, handlers) {
    this.#channel = channel;
    this.#handlers = handlers;
    channel.on('message', (message) => this.#received(message));
    channel.once('disconnect', () => this.#failAll());
  }

  /** Calls the other side. Rejects if that throws, or is gone. */
  call(name, ...args) {
    return new Promise((resolve, reject) => {
      const id = this.#next++;
      this.#waiting.set(id, { resolve, reject });
      this.#send({ call: name, args, id });
    });
  }

  #received({ call, args, id, result, error }) {
    if (call !== undefined) {
      void this.#answer(call, args, id);
      return;
    }
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(result);
    else waiting?.reject(new Error(error));
  }

  async #answer(name, args, id) {
    try {
      const result = await this.#handlers[name](...args);
      this.#send({ id, result });
    } catch (error) {
      this.#send({ id, error: error.stack });
    }
  }

  #send(message) {
    // The callback takes the error of a channel that has just closed; pending
    // calls are rejected on 'disconnect'.
    if (this.#channel.connected) this.#channel.send(message, () => {});
    else this.#failAll();
  }

  #failAll() {
    for (const { reject } of this.#waiting.values()) {
      reject(new Error('The other process is gone.'));
    }
    this.#waiting.clear();
  }
}
