/** Finds the element with this id. */
export const byId = (id) => document.getElementById(id);

/**
 * Creates an element.
 *
 * @param properties of the element, such as `className`
 */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Creates an element of a drawing. */
export function shape(tag, attributes = {}, ...children) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) {
    made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** Sets the text if it has changed, so that the browser does not draw it again. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const numbers = new Intl.NumberFormat('en');

export const count = (number) => numbers.format(number);

/** `0.42 ms`, `14 ms`, `3.1 s`, `2 min` */
export function duration(ms) {
  if (ms < 9.95) return `${ms.toFixed(ms < 0.995 ? 2 : 1)} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 9_950) return `${(ms / 1_000).toFixed(1)} s`;
  if (ms < 119_500) return `${Math.round(ms / 1_000)} s`;
  return `${Math.round(ms / 60_000)} min`;
}
