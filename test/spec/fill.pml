/*
 * Loads that race writes: near caches of several instances, and the second tier
 * that they share. `fill.md` explains it in English; `fill.model.mjs` has the runs,
 * with the bound of each. Every run searches all states within its bound.
 *
 * Sizes (-D)     INSTANCES, READS (loads at once on each), CHANGES (of the one row),
 *                OWN (instances 0 to OWN-1 publish one change each; other services
 *                publish the rest), OTHERS (messages that do not affect the row).
 * Features (-D)  TTL (entries expire), LATE (the last instance starts late),
 *                RESTARTS, FORGED (forged messages), DROPS (instances drop entries; else
 *                they stay, as after patterns that nobody sweeps), MANY (a value from the
 *                second tier waits for others of its call), SWEEP (changes are patterns),
 *                STORED (the second tier has an entry; nothing is loaded or widened),
 *                LIVENESS (with claims), TRACE (prints traces, starts over and over).
 * Mutants (-D)   MUTANT_... switches one protection off; HARMLESS_... changes a detail;
 *                PROBE_... fails when a state is reached that should be reached.
 *
 * Code           lib/stream/fences.ts#take #takenAt #reached #recordEarly #settleEarly #recall
 *                lib/stream/early-messages.ts#take
 *                lib/stream/recent-changes.ts#record #unaffected
 *                lib/subscriber/position-tracker.ts#moved #isInJournal #trackPositions
 *                lib/subscriber/message-receiver.ts#receive #receiveOwn #deliverEverything
 *                lib/cache/near/flights.ts#find #start #land
 *                lib/cache/near/cache-loader.ts#fetch #load
 *                lib/cache/near/cache-tiers.ts#share #keep #evict
 *                lib/cache/shared/l2-tier.ts#get #put #drop #sweep #limitOf
 *                lib/cache/shared/l2-commands.ts#get #put #drop
 *                lib/cache/shared/l2-sweeper.ts#add #run #sweep #removeAll #forgetSwept
 *                lib/transport/redis/entry.script.ts#withEntryCommands
 */
#ifndef INSTANCES
#define INSTANCES 2
#endif
#ifndef READS
#define READS 1
#endif
#ifndef CHANGES
#define CHANGES 2
#endif
#ifndef OWN
#define OWN 1
#endif
#ifndef OTHERS
#define OTHERS 0
#endif
#ifndef RESTARTS
#define RESTARTS 0
#endif
#ifndef FORGED
#define FORGED 0
#endif

/* The journal begins with one entry that affects nothing. */
#define ENTRIES (1 + CHANGES + OTHERS)
/* An offset that only a forged message claims; the journal never has it. */
#define CLAIMED (ENTRIES + 1)
#define BIT(offset) (1 << (offset))
#define LOADS (INSTANCES * READS)
#define NONE 255
#define GONE 254 /* an instance that has stopped */

#ifdef TRACE
short steps = 0;
#define EVENT(name, who) steps++; printf("%c%d\n", name, who)
#else
#define EVENT(name, who) skip
#endif

/* Database: the current version of the row. */
byte row = 1;

/* Changes: stages and versions, by writer. */
mtype = { PLANNED, COMMITTED, PUBLISHED };
mtype stage[CHANGES] = PLANNED;
byte version[CHANGES];
byte placed[CHANGES];
bool delivered[CHANGES];    /* locally, to the instance that published it */
bool acknowledged[CHANGES];
bool early[CHANGES];        /* delivered locally, and not settled */

/* Journal: the writer of each entry; NONE for what does not affect the row. */
byte last = 1;
byte writer[ENTRIES + 2] = NONE;

/* Instances. */
bool up[INSTANCES];
byte position[INSTANCES];
byte known[INSTANCES];      /* offsets at which it was */
byte clean[INSTANCES];      /* offsets since which no message affected the row */
byte applied[INSTANCES];    /* ghost: newest version among its invalidations */
byte l1[INSTANCES];         /* 0: no entry */
bool recallable[INSTANCES];

/* Loads under way. */
mtype = { FREE, ASKING, FOUND, LOADING, LOADED };
mtype phase[LOADS] = FREE;
byte value[LOADS];
byte mark[LOADS];           /* offset of the entry, or at which the load began */
bool joinable[LOADS];
bool fence[LOADS];
byte atLeast[LOADS];        /* ghost: what its readers may not fall behind */

/* Second tier: one entry; 0: none. Commands under way, one of a kind an instance. */
byte l2Value;
byte l2Offset;
byte putValue[INSTANCES];
byte putOffset[INSTANCES];
bool confirmed[INSTANCES];
byte dropBefore[INSTANCES]; /* twice an offset; odd: after that offset */

/* Sweeper: patterns that wait, as bits of their offsets. */
#ifdef SWEEP
byte waiting[INSTANCES];
byte batch[INSTANCES];
mtype = { RESTING, LEASED, SCANNING, SCANNED, RECORDED };
mtype sweeping[INSTANCES] = RESTING;
byte lease = NONE;
byte swept;
#endif

byte restarts = RESTARTS;
byte forged = FORGED;
byte others = OTHERS;

#define instanceOf(load) ((load) / READS)
#define isOwn(i, w) ((w) == (i) && (w) < OWN)
#define hasEarly(i) ((i) < OWN && early[i])

#if defined(MUTANT_ACCEPT_UNCHECKED)
#define serves(i, offset) true
#elif defined(MUTANT_EARLY_UNCOUNTED)
#define serves(i, offset) (clean[i] & BIT(offset))
#else
#define serves(i, offset) ((clean[i] & BIT(offset)) && !hasEarly(i))
#endif

inline evict(i, newest, before) {
#ifndef MUTANT_KEEP_L1
  l1[i] = 0;
#endif
  clean[i] = 0;
  applied[i] = (newest > applied[i] -> newest : applied[i]);
  k = 0;
  do
  :: k < READS -> fence[i * READS + k] = false; joinable[i * READS + k] = false; k++
  :: else -> break
  od;
#ifdef SWEEP
  if
  :: (before) % 2 == 0 -> waiting[i] = waiting[i] | BIT((before) / 2)
  :: else
  fi
#elif defined(DROPS)
  if
  :: (before) > 0 -> dropBefore[i] = before
  :: else
  fi
#endif
}

inline reach(i, offset) {
  position[i] = offset;
  if
  :: !(known[i] & BIT(offset)) ->
    known[i] = known[i] | BIT(offset);
    clean[i] = clean[i] | BIT(offset)
  :: else
  fi
}

inline deliverOwn(i, at) {
  if
  :: !delivered[i] ->
    delivered[i] = true;
#ifndef MUTANT_EARLY_UNCOUNTED
    early[i] = true;
#endif
    evict(i, version[i], 2 * (at) + 1)
  :: else
  fi
}

#if defined(MUTANT_SETTLE_AT_REPLY)
#define isTurn(i, w) true
#elif defined(MUTANT_SETTLE_EQUAL)
#define isTurn(i, w) (position[i] > placed[w])
#else
#define isTurn(i, w) (position[i] >= placed[w])
#endif

inline settle(i) {
  if
  :: hasEarly(i) && acknowledged[i] && isTurn(i, i) ->
    early[i] = false;
    clean[i] = 0
  :: else
  fi
}

/* A message of the journal, or a widened one for all entries up to the end. */
inline newestUpTo(offset) {
  newest = 1;
  k = 1;
  do
  :: k <= offset ->
    if
    :: writer[k] != NONE && version[writer[k]] > newest -> newest = version[writer[k]]
    :: else
    fi;
    k++
  :: else -> break
  od
}

/* Offsets since which nothing affected the row, by the journal. */
inline recall(i) {
  k = position[i];
  do
  :: k > 0 ->
    clean[i] = clean[i] | (known[i] & BIT(k) -> 0 : BIT(k));
    if
    :: writer[k] != NONE -> break
    :: else -> k--
    fi
  :: else -> break
  od
}

#ifdef SWEEP
inline recordSwept(i) {
  k = ENTRIES;
  do
  :: batch[i] & BIT(k) -> break
  :: else -> k--
  od;
  swept = k; k = 0;
  waiting[i] = waiting[i] & ~batch[i]
}
#endif

proctype Writer(byte w) {
  byte k;
end: do
  :: d_step { stage[w] == PLANNED -> stage[w] = COMMITTED; row++; version[w] = row;
      EVENT('c', w) }
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
      :: else -> evict(i, version[newest], 2 * (position[i] + 1))
      fi;
      position[i]++;
      settle(i);
      reach(i, position[i]);
      k = 0; newest = 0 }
#ifndef STORED
  /* The chain does not hold, as from a claimed offset: everything, and the end. */
  :: d_step { up[i] && isFar(i) ->
      EVENT('w', i);
      newestUpTo(last);
#ifdef MUTANT_KEEP_FENCES_WIDENED
      applied[i] = newest; l1[i] = 0;
#else
      evict(i, newest, 0);
#endif
      recallable[i] = false;
      position[i] = last;
      settle(i);
      reach(i, last);
      k = 0; newest = 0 }
#endif
  od
}

/* One load of an instance, again and again. */
proctype Load(byte f) {
  byte k;
end: do
  :: d_step { up[instanceOf(f)] && l1[instanceOf(f)] == 0 && phase[f] == FREE &&
      (READS == 1 || !joinable[instanceOf(f) * READS + READS - 1 - f % READS]) ->
      EVENT('r', f);
      phase[f] = ASKING; value[f] = l2Value; mark[f] = l2Offset;
      joinable[f] = true; atLeast[f] = applied[instanceOf(f)] }
#ifdef MUTANT_JOIN_OVERTAKEN
  :: d_step { phase[f] != FREE && atLeast[f] != applied[instanceOf(f)] ->
      atLeast[f] = applied[instanceOf(f)] }
#endif
  /* The reply of the second tier. */
  :: d_step { phase[f] == ASKING && value[f] > 0 && serves(instanceOf(f), mark[f]) ->
      EVENT('h', f);
#ifdef PROBE_RECALLED
      assert(instanceOf(f) < INSTANCES - 1 || mark[f] == position[instanceOf(f)]);
#endif
#ifdef MANY
      phase[f] = FOUND }
  :: d_step { phase[f] == FOUND ->
#endif
      assert(value[f] >= atLeast[f]);
      if
#ifdef MUTANT_FOUND_UNCHECKED
      :: d_step { last > 0 -> skip }
#else
      :: serves(instanceOf(f), mark[f])
#endif
        -> EVENT('k', f); l1[instanceOf(f)] = value[f]
      :: else -> EVENT('n', f)
      fi;
      phase[f] = FREE; value[f] = 0; mark[f] = 0; joinable[f] = false; atLeast[f] = 0 }
  :: d_step { phase[f] == ASKING && !(value[f] > 0 && serves(instanceOf(f), mark[f])) ->
      EVENT('m', f);
      phase[f] = LOADING; value[f] = 0; fence[f] = true; mark[f] = position[instanceOf(f)] }
  /* The database answers with the row of this moment, and the answer takes a while. */
  :: d_step { phase[f] == LOADING -> EVENT('q', f); phase[f] = LOADED; value[f] = row }
  :: d_step { phase[f] == LOADED ->
      assert(value[f] >= atLeast[f]);
#ifdef MUTANT_FENCE_AFTER_LOAD
      fence[f] = true;
#endif
#ifdef HARMLESS_MARK_AT_LANDING
      mark[f] = position[instanceOf(f)];
#endif
      if
      :: fence[f] ->
        EVENT('k', f);
        l1[instanceOf(f)] = value[f];
        if
        :: putValue[instanceOf(f)] == 0 ->
          putValue[instanceOf(f)] = value[f]; putOffset[instanceOf(f)] = mark[f]
        :: else
        fi
      :: else -> EVENT('n', f)
      fi;
      phase[f] = FREE; value[f] = 0; mark[f] = 0; fence[f] = false;
      joinable[f] = false; atLeast[f] = 0 }
#ifdef TTL
  :: d_step { l1[instanceOf(f)] > 0 -> EVENT('y', instanceOf(f)); l1[instanceOf(f)] = 0 }
#endif
  od
}

inline forgetPut(i) {
  putValue[i] = 0; putOffset[i] = 0; confirmed[i] = false
}

#if defined(MUTANT_PUT_BLINDLY)
#define isPut(i) true
#elif defined(HARMLESS_PUT_EQUAL)
#define isPut(i) (l2Value == 0 || l2Offset < putOffset[i])
#else
#define isPut(i) (l2Value == 0 || l2Offset <= putOffset[i])
#endif

#if defined(MUTANT_DROP_BLINDLY)
#define isDropped(before) true
#elif defined(MUTANT_DROP_EQUAL)
#define isDropped(before) (2 * l2Offset <= before)
#else
#define isDropped(before) (2 * l2Offset < before)
#endif

/* Its commands on the connection of the second tier. */
proctype Store(byte i) {
  byte k;
end: do
#if FORGED > 0
  /* The journal is read on the command connection: does it have the offset? */
  :: d_step { putValue[i] > 0 && !confirmed[i] ->
      EVENT('f', i);
#ifndef MUTANT_CLAIMED_OFFSET
      if
      :: putOffset[i] == CLAIMED -> forgetPut(i)
      :: else -> confirmed[i] = true
      fi
#else
      confirmed[i] = true
#endif
    }
#endif
  :: d_step { putValue[i] > 0 && (confirmed[i] || FORGED == 0) ->
#ifdef MUTANT_MARK_AFTER_LOAD
      if
      :: up[i] -> putOffset[i] = position[i]
      :: else
      fi;
#endif
      if
      :: isPut(i) ->
        EVENT('s', i);
        /* A store takes no entry away from an instance that has come as far. */
        k = 0;
        do
        :: k < INSTANCES ->
          assert(l2Value == 0 || !serves(k, l2Offset) || position[k] < putOffset[i] ||
            position[k] == CLAIMED || serves(k, putOffset[i]));
          k++
        :: else -> break
        od;
        l2Value = putValue[i]; l2Offset = putOffset[i]
      :: else -> EVENT('x', i)
      fi;
      forgetPut(i); k = 0 }
#ifndef TRACE
  :: d_step { putValue[i] > 0 -> forgetPut(i) }
#endif
  od
}

proctype Drop(byte i) {
  byte k;
end: do
  :: d_step { dropBefore[i] > 0 ->
      if
      :: l2Value > 0 && isDropped(dropBefore[i]) ->
        EVENT('g', i);
        /* It takes no entry away from an instance that has applied the message. */
        k = 0;
        do
        :: k < INSTANCES ->
          assert(dropBefore[i] % 2 == 1 || 2 * position[k] < dropBefore[i] ||
            position[k] == CLAIMED || !serves(k, l2Offset));
          k++
        :: else -> break
        od;
        l2Value = 0; l2Offset = 0
      :: else -> EVENT('v', i)
      fi;
      dropBefore[i] = 0; k = 0 }
#ifndef TRACE
  :: d_step { dropBefore[i] > 0 -> dropBefore[i] = 0 }
#endif
  od
}

#ifdef TTL
proctype ExpireL2() {
end: do
  :: d_step { l2Value > 0 -> l2Value = 0; l2Offset = 0 }
  od
}
#endif

inline start(i) {
  up[i] = true;
  newestUpTo(last);
  applied[i] = newest;
#ifdef MUTANT_LATE_TRUSTS_ALL
  clean[i] = 127;
#endif
  reach(i, last);
  recallable[i] = true
}

inline stop(i) {
  up[i] = false; position[i] = 0; known[i] = 0; clean[i] = 0; applied[i] = 0;
  l1[i] = 0; recallable[i] = false;
  k = 0;
  do
  :: k < READS ->
    phase[i * READS + k] = FREE; value[i * READS + k] = 0; mark[i * READS + k] = 0;
    fence[i * READS + k] = false; joinable[i * READS + k] = false;
    atLeast[i * READS + k] = 0; k++
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

#ifdef SWEEP
#define notSwept(i) (waiting[i] & ~(BIT(swept + 1) - 1))

/* Removes entries that patterns affect: one instance at a time, for all. */
proctype Sweeper(byte i) {
  byte k;
end: do
  :: d_step { up[i] && sweeping[i] == RESTING && waiting[i] && (lease == NONE || lease == i) ->
      lease = i; sweeping[i] = LEASED }
#ifdef MUTANT_NO_SUCCESSOR
  :: d_step { up[i] && sweeping[i] == RESTING && waiting[i] && lease != NONE && lease != i ->
      waiting[i] = 0 }
#else
  :: d_step { up[i] && sweeping[i] == RESTING && waiting[i] != notSwept(i) ->
      waiting[i] = notSwept(i) }
#endif
  /* The lease of another instance ends by itself, also while that one sweeps. */
#ifdef MUTANT_LEASE_FOREVER
  :: d_step { lease != NONE && lease != GONE && lease != i -> lease = NONE }
#else
  :: d_step { lease != NONE && lease != i -> lease = NONE }
#endif
  :: d_step { sweeping[i] == LEASED ->
      waiting[i] = notSwept(i); batch[i] = waiting[i];
#ifdef MUTANT_RECORD_FIRST
      if
      :: batch[i] -> recordSwept(i)
      :: else
      fi;
#endif
      sweeping[i] = (batch[i] -> SCANNING : RECORDED) }
  :: d_step { sweeping[i] == SCANNING ->
#ifdef MUTANT_SWEEP_BLINDLY
      if
      :: l2Value > 0 ->
#else
      if
      :: l2Value > 0 && batch[i] >> (l2Offset + 1) ->
#endif
        k = 0;
        do
        :: k < INSTANCES ->
          assert(batch[i] >> (position[k] + 1) || !serves(k, l2Offset));
          k++
        :: else -> break
        od;
        l2Value = 0; l2Offset = 0
      :: else
      fi;
      k = 0;
      sweeping[i] = SCANNED }
  /* It renews its lease; if another instance has it, that one has taken over. */
  :: d_step { sweeping[i] == SCANNED ->
      if
      :: lease == NONE || lease == i ->
        lease = i;
#ifndef MUTANT_RECORD_FIRST
        recordSwept(i);
#endif
        sweeping[i] = RECORDED
      :: else -> sweeping[i] = RESTING
      fi;
      batch[i] = 0 }
  :: d_step { sweeping[i] == RECORDED ->
      lease = (lease == i -> NONE : lease); sweeping[i] = RESTING }
  od
}
#endif

#ifdef TRACE
/* Ends a trace, and starts the next one. */
proctype Again() {
  byte i, k, newest;
end: do
  :: d_step { steps >= LENGTH ->
      printf(".\n");
      steps = 0; row = 1; last = 1;
      l2Value = 0; l2Offset = 0;
      restarts = RESTARTS; forged = FORGED; others = OTHERS;
      i = 0;
      do
      :: i < CHANGES ->
        stage[i] = PLANNED; version[i] = 0; placed[i] = 0;
        delivered[i] = false; acknowledged[i] = false; early[i] = false; i++
      :: else -> break
      od;
      i = 0;
      do
      :: i <= ENTRIES -> writer[i] = NONE; i++
      :: else -> break
      od;
      i = 0;
      do
      :: i < INSTANCES ->
        stop(i); forgetPut(i); dropBefore[i] = 0;
        if
        :: i < INSTANCES - 1 -> start(i); recallable[i] = false
        :: else
        fi;
        i++
      :: else -> break
      od }
  od
}
#endif

#define isBehind(i) (up[i] && ((l1[i] && l1[i] < applied[i]) || \
  (l2Value && l2Value < applied[i] && serves(i, l2Offset))))

/* Safety, in every state: no copy that an instance serves is older than what it has applied. */
proctype Safety(byte i) {
end: do
  :: d_step { isBehind(i) -> assert(false) }
  od
}

#ifdef LIVENESS
#define isStale(version) ((version) != 0 && (version) != row)
#if INSTANCES == 1
#define anyL1Stale (isStale(l1[0]))
#else
#define anyL1Stale (isStale(l1[0]) || isStale(l1[INSTANCES - 1]))
#endif
#define isEarly (OWN > 0 && early[0])
/* Liveness: from some time on, every copy is current or absent, and own messages are settled. */
ltl coherent { <>[] (!anyL1Stale && !isStale(l2Value) && !isEarly) }
#endif

init {
  byte i = 0;
  byte k, newest;
  atomic {
    do
    :: i < INSTANCES ->
#ifdef LATE
      if
      :: i < INSTANCES - 1 -> start(i); recallable[i] = false
      :: else
      fi;
#else
      start(i); recallable[i] = false;
#endif
      run Listener(i);
#ifndef LIVENESS
      run Safety(i);
#endif
#ifdef SWEEP
      run Sweeper(i);
#endif
#ifdef DROPS
      run Drop(i);
#endif
#ifndef STORED
      run Store(i);
#endif
#if defined(LATE) || RESTARTS > 0
      run Life(i);
#endif
#if FORGED > 0
      run Forger(i);
#endif
      i++
    :: else -> break
    od;
    i = 0;
#ifdef STORED
    l2Value = 1; l2Offset = 1;
#else
    do
    :: i < LOADS -> run Load(i); i++
    :: else -> break
    od;
#endif
    i = 0;
    do
    :: i < CHANGES -> run Writer(i); i++
    :: else -> break
    od;
#ifdef TRACE
    run Again();
#endif
#if OTHERS > 0
    run Other();
#endif
#ifdef TTL
#ifndef TRACE
    run ExpireL2();
#endif
#endif
    i = 0; k = 0; newest = 0
  }
#ifdef LIVENESS
  /* Time goes on: with weak fairness, spin finds no cycle where everything has ended. */
end: do
  :: d_step { last > 0 -> skip }
  od
#endif
}
