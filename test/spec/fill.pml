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
 * Replicas (-D)  REPLICA (loads read a replica; `replica.md`), REPLICAS (each instance has its
 *                own, unless 1), PRIMARY (what is marked is loaded from the primary), ASKED
 *                (publishers may ask for a position), TOLD (every message has one), MOVES
 *                (other servers answer), SNAPSHOT (transactions), AT_ONCE (commands to the
 *                second tier take no time), NARROW (nothing is widened).
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
 *                lib/replica/replica-marks.ts#begin #add #forget
 *                lib/replica/replica-progress.ts#positionOf #askPrimary #askReplica
 *                lib/cache/near/replica-loads.ts#load #hasMoved
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

#include "fill-state.pml"
#ifdef SNAPSHOT
#include "fill-snapshot.pml"
#endif
#include "fill-instance.pml"
#include "fill-load.pml"
#ifdef SWEEP
#include "fill-sweeper.pml"
#endif
#ifdef TRACE
#include "fill-trace.pml"
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
#if defined(REPLICA)
#define anyMarked (isMarked(0) || isMarked(INSTANCES - 1))
#else
#define anyMarked false
#endif
ltl coherent { <>[] (!anyL1Stale && !isStale(l2Value) && !isEarly && !anyMarked) }
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
#ifdef REPLICA
      run Progress(i);
#endif
#ifdef SNAPSHOT
      run Transaction(i);
#endif
#ifndef LIVENESS
      run Safety(i);
#endif
#ifdef SWEEP
      run Sweeper(i);
#endif
#ifdef DROPS
      run Drop(i);
#endif
#if !defined(STORED) && !defined(AT_ONCE)
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
#ifdef REPLICA
    do
    :: i < REPLICAS -> run Replica(i); i++
    :: else -> break
    od;
    i = 0;
#endif
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
