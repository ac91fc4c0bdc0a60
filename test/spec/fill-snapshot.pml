/*
 * Transactions above READ COMMITTED: their reads see the row as of the first one, and
 * bypass the cache, so that they change nothing here. The mutant's are loads (`Load`).
 */
byte snapshot[INSTANCES]; /* version that the open transaction sees; 0: none is open */

proctype Transaction(byte i) {
end: do
  :: d_step { up[i] && snapshot[i] == 0 -> snapshot[i] = row }
  :: d_step { snapshot[i] > 0 -> snapshot[i] = 0 }
  od
}
