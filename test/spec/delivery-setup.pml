/*
 * The beginning: one old entry, which every instance has delivered. With BOOT the
 * second instance starts later. A random simulation begins again and again.
 */

inline setup() {
  J[0] = 1; size = 1; top = 1; given = 3;
  x = 0;
  do
  :: x < INSTANCES ->
    subscribed[x] = true;
    writable[x] = true;
    pos[x] = 1;
    last[x] = NONE;
    early[x] = NONE;
    acked[x] = NONE;
    echo[x] = NONE;
    confirmed[x] = NONE;
    x++
  :: else -> break
  od;
#ifdef BOOT
  subscribed[1] = false;
  first_time[1] = true;
  pos[1] = NONE;
#endif
  LOG(("0 new%d.%d\n1 new%d.%d\n", pos[0], HELD_LIMIT, pos[1], HELD_LIMIT))
}

#ifdef TRACE
inline tearDown() {
  x = 0;
  do :: x < JOURNAL -> J[x] = 0; x++ :: else -> break od;
  x = 0;
  do :: x < 16 -> prev[x] = 0; msg[x] = 0; x++ :: else -> break od;
  x = 0;
  do :: x < 5 -> state[x] = 0; since[x] = 0; answer[x] = 0; x++ :: else -> break od;
  oldest = 0; planted = 0; behind = false; removed = false;
  forged_offset[0] = 0; forged_offset[1] = 0; forged_prev[0] = 0; forged_prev[1] = 0; forgeries = 0;
  messages = 0; changes = 0; foreign = 0; owner = 0; everything = 0; committed = 0; draining = 0;
  id = 0;
  do
  :: id < INSTANCES ->
    applied[id] = 0; owed[id] = false; quiet[id] = false; under_way[id] = 0;
    abandonBeat(id);
    endReading(id);
    do :: queued[id] > 0 -> queued[id]--; queue[id * QUEUE + queued[id]] = 0 :: else -> break od;
    clearHeld(id);
    catching[id] = false; replayed[id] = 0;
    broken[id] = false; doubtful[id] = 0;
    id++
  :: else -> break
  od;
  faults = FAULTS; STIR
}
#endif
