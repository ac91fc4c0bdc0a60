/*
 * The delivery of invalidations, from the publisher to the caches of every instance.
 * delivery.md says in English what is modelled, what is left out, and the bounds.
 * Each part names the code that it stands for.
 *
 * Bounds, each by a -D flag: MESSAGES changes, SLOTS messages with the widened
 * ones, FAULTS faults in all, of the kinds that are switched on; two instances.
 */
#ifndef MESSAGES
#define MESSAGES 2
#endif
#ifndef SLOTS
#define SLOTS MESSAGES
#endif
#ifndef FAULTS
#define FAULTS 1
#endif
#ifndef PUBLISHERS
#define PUBLISHERS 1
#endif
#ifndef PAGE
#define PAGE 9
#endif
#ifndef HELD_LIMIT
#define HELD_LIMIT 3
#endif
#ifdef FAILOVER
#define GAP 2
#else
#define GAP 1
#endif
#ifndef FORGERIES
#define FORGERIES 1
#endif

#include "delivery-state.pml"
#include "delivery-cursor.pml"
#include "delivery-redis.pml"
#include "delivery-publisher.pml"
#include "delivery-subscriber.pml"
#include "delivery-catch-up.pml"
#include "delivery-heartbeat.pml"
#include "delivery-setup.pml"

proctype publisher(bit i) {
  do
  :: d_step { i < PUBLISHERS && changes < MESSAGES && MAY_PUBLISH -> changes++; publish(i, false) }
  :: d_step { ANY(SENT) || ANY(RESENT) -> oldestOf(i, SENT, RESENT); m = x; script(m) }
  :: d_step { ANY(ANSWER) -> oldestOf(i, ANSWER, ANSWER); m = x; takeAnswer(i, m) }
  :: d_step { !writable[i] -> becomeWritable(i) }
  :: d_step { writable[i] && !SOME_FLY && (ANY(OUTBOX) || ANY(TRIED)) -> drain(i) }
  od
}

proctype subscriber(bit i) {
  do
  :: d_step { !subscribed[i] -> resubscribe(i) }
  :: d_step {
      queued[i] > 0 ->
      wire = HEAD(i);
      pop(i);
      if
      :: wire == PING_BEAT -> beat[i] = ANSWERED_BEAT
      :: wire == PING_START -> takePingOfStart(i)
      :: else -> receiveWire(i, wire)
      fi
    }
  od
}

/* A process of its own: no stream of PINGs can keep it from going on. */
proctype reader(bit i) {
  do
  :: d_step { phase[i] == ASK && writable[i] -> ask(i) }
  :: d_step { phase[i] == READING -> readPage(i) }
  :: d_step { phase[i] == READ -> takePage(i) }
  :: d_step { phase[i] == STARTING || phase[i] == RESTART -> takeTail(i) }
  od
}

proctype heartbeat(bit i) {
  do
  :: d_step { BEATS && beat[i] == 0 && writable[i] && subscribed[i] -> beat[i] = ASKED_TAIL; beat_tail[i] = TAIL; beat_acked[i] = acked[i]; if :: QUIET -> proving = proving | BIT(i) :: else fi }
  :: d_step { beat[i] == ASKED_TAIL -> 
      if
      :: beat_tail[i] == pos[i] -> judge(i)
      :: else -> beat[i] = ASKED_PING; push(i, PING_BEAT)
      fi
    }
  :: d_step { beat[i] == ANSWERED_BEAT -> judge(i) }
  od
}

init {
  d_step { setup() }
  run world();
  run publisher(0); run subscriber(0); run reader(0); run heartbeat(0);
  run publisher(1); run subscriber(1); run reader(1); run heartbeat(1)
}

/* All faults, FAULTS of them in all; then the network has healed. */
proctype world() {
  byte pick;
  do
  :: d_step { faults > 0 -> faults = 0 }
#ifdef TRACE
  :: d_step { calm == ALL && changes == MESSAGES -> tearDown(); setup() }
  :: skip
  :: skip
#endif
#ifdef CUT
  :: d_step { faults > 0 && subscribed[0] -> faults--; cutSubscription(0) }
  :: d_step { faults > 0 && subscribed[1] -> faults--; cutSubscription(1) }
#endif
#ifdef CUT_COMMANDS
  :: d_step { faults > 0 && writable[0] -> faults--; cutCommands(0) }
  :: d_step { faults > 0 && writable[1] -> faults--; cutCommands(1) }
#endif
#ifdef LOSE
  :: d_step { faults > 0 && queued[0] > 0 && HEAD(0) < FORGED -> faults--; pop(0); STIR }
  :: d_step { faults > 0 && queued[1] > 0 && HEAD(1) < FORGED -> faults--; pop(1); STIR }
#endif
#ifdef REPEAT
  :: atomic {
      faults > 0 -> faults--; pick = 1;
      do :: pick < top -> pick++ :: break od;
      if
      :: d_step { subscribed[0] && (given & BIT(pick)) -> push(0, pick); STIR }
      :: d_step { subscribed[1] && (given & BIT(pick)) -> push(1, pick); STIR }
      :: skip
      fi;
      pick = 0
    }
#endif
#ifdef TRIM
  :: d_step { faults > 0 && oldest + 1 < size -> faults--; trim() }
  :: d_step { faults > 0 && oldest + 2 < size -> faults--; oldest = size - 1; STIR }
#endif
#ifdef REMOVE
  /* Two empty journals look alike: removed once. */
  :: d_step { faults > 0 && oldest < size && !removed -> faults--; removed = true; oldest = size; STIR }
#endif
#ifdef FAILOVER
  :: atomic {
      faults > 0 && size > oldest -> faults--; pick = 0;
      do :: size - pick > oldest + 1 -> pick++ :: break od;
      if :: behind = true :: behind = false fi;
      d_step { failover(pick); pick = 0 }
    }
#endif
#ifdef HANG
  :: d_step { faults > 0 && phase[0] != IDLE -> faults--; timeOut(0) }
  :: d_step { faults > 0 && phase[1] != IDLE -> faults--; timeOut(1) }
#endif
#ifdef FOREIGN
  :: d_step { faults > 0 && messages + MESSAGES - changes < SLOTS -> faults--; publishForeign() }
#endif
#ifdef FORGE
  /* P: any message on the channel, with any place. */
#ifdef TRACE
  :: d_step {
      faults > 0 && forgeries < FORGERIES -> faults--;
      forged_offset[forgeries] = top; forged_prev[forgeries] = prev[top];
      forgeries++; broadcast(FORGED + forgeries - 1)
    }
#endif
  :: atomic {
      faults > 0 && forgeries < FORGERIES -> faults--;
      do
      :: forged_offset[forgeries] <= top -> forged_offset[forgeries]++
      :: forged_offset[forgeries] = FAR; break
      :: break
      od;
      do :: forged_prev[forgeries] <= top -> forged_prev[forgeries]++ :: break od;
      d_step { forgeries++; broadcast(FORGED + forgeries - 1) }
    }
#endif
#ifdef PLANT
  /* J: an entry with any predecessor. */
  :: atomic {
      faults > 0 -> faults--;
      do :: pick < top -> pick++ :: break od;
      d_step { plant(pick); pick = 0 }
    }
#endif
#ifdef DELETE
  /* J: an entry amid the others deleted. */
  :: atomic {
      faults > 0 && size > oldest + 2 && !ANSWERED -> faults--; pick = oldest + 1;
      do :: pick < size - 2 -> pick++ :: break od;
      d_step { deleteEntry(pick); pick = 0 }
    }
#endif
#ifdef REPLACE
  /* J: the last entry deleted, and one planted in its place. */
  :: atomic {
      faults > 0 && size > oldest + 1 && !ANSWERED -> faults--;
      do :: pick < top -> pick++ :: break od;
      d_step { size--; J[size] = 0; plant(pick); pick = 0 }
    }
#endif
  od
}

#ifdef LTL
ltl heals { [] (HEALED -> <> (calm == ALL)) }
#endif
