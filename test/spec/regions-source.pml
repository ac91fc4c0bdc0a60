/*
 * The source: its journal, its channel, and the publisher.
 */

#define IN_SOURCE(offset) ((present & BIT(offset)) != 0)

/* A new offset was never given before. With the clock behind, after a failover,
   it may be lower than lost ones. */
inline nextOffset(behind) {
  id = (behind -> tail + 1 : top + GAP);
  do
  :: given & BIT(id) -> id++
  :: else -> break
  od;
  BOUND(id < OFFSETS);
  given = given | BIT(id);
  top = (id > top -> id : top)
}

inline publish(write, behind) {
  nextOffset(behind);
  before[id] = tail;
  change[id] = write;
  tail = id;
  present = present | BIT(id);
  x = 0;
  do
  :: x < RELAYS && subscribed[x] ->
    BOUND(live_n[x] < QUEUE);
    LIVE(x, live_n[x]) = id;
    live_n[x]++;
    x++
  :: x < RELAYS && !subscribed[x] -> x++
  :: else -> break
  od;
  settled = false
}

/* `covered` becomes the writes up to an offset. */
inline coverage(offset) {
  covered = 0;
  y = offset;
  do
  :: y != START -> covered = covered | change[y]; y = before[y]
  :: else -> break
  od
}

/* `holds` says that the journal goes on from an offset: its entry is there, and the
   chain from it to the tail. The beginning is there until an entry is trimmed. */
inline goesOn(offset) {
  y = tail;
  do
  :: y != offset && y != START && IN_SOURCE(y) -> y = before[y]
  :: else -> break
  od;
  holds = y == offset && (offset == START || IN_SOURCE(offset))
}

/* The first entry, which is never the last one, is trimmed. */
inline trim() {
  y = tail;
  do
  :: before[y] != START && IN_SOURCE(before[y]) -> y = before[y]
  :: else -> break
  od;
  if
  :: y != tail -> present = present & ~BIT(y)
  :: else
  fi;
  y = 0
}

/* A replica that lacks the last entry takes over: their publisher looks for it
   later, and publishes it again. */
inline loseLast() {
  lost = lost | change[tail];
  present = present & ~BIT(tail);
  tail = before[tail];
  settled = false
}

inline breakLink(r) {
  subscribed[r] = false;
  do
  :: live_n[r] > 0 -> live_n[r]--; LIVE(r, live_n[r]) = 0
  :: else -> break
  od;
#ifndef MUTANT_TORN_RELAY_BEAT
  if
  :: beat[r] == SENT -> beat[r] = 0; beat_tail[r] = 0
  :: else
  fi
#endif
}

inline takeLost() {
  element = (lost & 1 -> 1 : (lost & 2 -> 2 : 4));
  lost = lost & ~element
}

proctype publisher() {
end:
  do
  :: d_step { writes < WRITES -> publish(BIT(writes), false); writes++ }
#ifdef SOURCE_FAILOVER
  :: d_step { writes < WRITES && tail != top -> publish(BIT(writes), true); writes++ }
  :: d_step { lost -> takeLost(); publish(element, false) }
  :: d_step { lost && tail != top -> takeLost(); publish(element, true) }
#endif
  od
}
