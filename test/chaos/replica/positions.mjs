/** A position in PostgreSQL's log, such as `0/16B3748`, as a number. */
export function numberOf(position) {
  const [high, low] = position.split('/');
  return parseInt(high, 16) * 2 ** 32 + parseInt(low, 16);
}
