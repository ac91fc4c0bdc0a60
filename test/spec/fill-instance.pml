/* Writers, deliveries, and the life of an instance. */

proctype Writer(byte w) {
  byte k;
end: do
#ifndef TOLD
  :: d_step { stage[w] == PLANNED -> stage[w] = COMMITTED; row++; version[w] = row;
      EVENT('c', w) }
#endif
#ifdef REPLICA
  /* Its message carries a position: that of its commit, or the primary's after it. */
  :: d_step { stage[w] == PLANNED -> stage[w] = COMMITTED; row++; version[w] = row;
      at[w] = committedAt(row) }
#ifdef ASKED
  :: d_step { stage[w] == COMMITTED && at[w] == 0 && !delivered[w] ->
      stage[w] = PUBLISHED; last++; writer[last] = w; placed[w] = last; at[w] = currentPosition }
#endif
#endif
  :: d_step { stage[w] == COMMITTED ->
      stage[w] = PUBLISHED; last++; writer[last] = w; placed[w] = last; EVENT('p', w) }
  /* Redis is away, or its reply is: the change is delivered locally all the same. */
  :: d_step { w < OWN && stage[w] != PLANNED && !delivered[w] ->
      EVENT('t', w); deliverOwn(w, position[w]); settle(w); k = 0 }
  :: d_step { w < OWN && stage[w] == PUBLISHED && !acknowledged[w] ->
      EVENT('a', w); deliverOwn(w, position[w]); acknowledged[w] = true; settle(w); k = 0 }
  od
}

proctype Other() {
end: do
  :: d_step { others > 0 -> others--; last++; EVENT('o', 0) }
  od
}

#ifdef TRACE
/* Rarer than in a search, so that traces find entries that may be served. */
#define isFar(i) (position[i] == CLAIMED || position[i] + 2 < last)
#else
#define isFar(i) (position[i] != last)
#endif

proctype Listener(byte i) {
  byte k, newest;
end: do
  :: d_step { up[i] && position[i] < last ->
      EVENT('d', i);
      newest = writer[position[i] + 1];
      if
      :: newest == NONE
      :: newest != NONE && isOwn(i, newest) -> deliverOwn(i, position[i] + 1)
      :: else -> evict(i, version[newest], 2 * (position[i] + 1), placeOf(newest))
      fi;
      position[i]++;
      settle(i);
      reach(i, position[i]);
      k = 0; newest = 0 }
#if !defined(STORED) && !defined(NARROW)
  /* The chain does not hold, as from a claimed offset: everything, and the end. */
  :: d_step { up[i] && isFar(i) ->
      EVENT('w', i);
      newestUpTo(last);
#ifdef MUTANT_KEEP_FENCES_WIDENED
      applied[i] = newest; l1[i] = 0;
#else
      evict(i, newest, 0, placeOfWidened);
#endif
      recallable[i] = false;
      position[i] = last;
      settle(i);
      reach(i, last);
      k = 0; newest = 0 }
#endif
  od
}

inline start(i) {
  up[i] = true;
  newestUpTo(last);
  applied[i] = newest;
#ifdef MUTANT_LATE_TRUSTS_ALL
  clean[i] = 127;
#endif
  reach(i, last);
#if defined(REPLICA) && !defined(MUTANT_START_UNMARKED)
  unasked[i] = true;
#endif
  recallable[i] = true
}

inline stop(i) {
  up[i] = false; position[i] = 0; known[i] = 0; clean[i] = 0; applied[i] = 0;
  l1[i] = 0; recallable[i] = false;
#ifdef REPLICA
  forgetMarks(i);
#endif
  k = 0;
  do
  :: k < READS ->
    phase[i * READS + k] = FREE; value[i * READS + k] = 0; mark[i * READS + k] = 0;
    fence[i * READS + k] = false; joinable[i * READS + k] = false;
    atLeast[i * READS + k] = 0;
#ifdef REPLICA
    behind[i * READS + k] = false;
#endif
#ifdef MAY_BE_BEHIND
    fresh[i * READS + k] = false;
#endif
    k++
  :: else -> break
  od
}

/* Only instances without changes of their own stop: their outbox would be lost. */
proctype Life(byte i) {
  byte k, newest;
end: do
  :: d_step { !up[i] -> EVENT('b', i); start(i); k = 0; newest = 0 }
  :: d_step { recallable[i] && position[i] <= last ->
      EVENT('e', i);
      recallable[i] = false;
      recall(i);
      k = 0; newest = 0 }
  :: d_step { i >= OWN && up[i] && restarts > 0 ->
      EVENT('j', i);
      restarts--;
      stop(i);
#ifdef SWEEP
      waiting[i] = 0; batch[i] = 0; sweeping[i] = RESTING;
      lease = (lease == i -> GONE : lease);
#endif
      k = 0 }
  od
}

/* A hostile publisher claims an offset after the position of one instance. */
proctype Forger(byte i) {
end: do
  :: d_step { forged > 0 && up[i] && position[i] == last ->
      EVENT('i', i); forged--; reach(i, CLAIMED) }
  od
}
