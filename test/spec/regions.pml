/*
 * A relay from a source into the local region, up to the copy of a local instance.
 * regions.md says in English what is modelled, what is left out, and the bounds.
 *
 * Bounds, each by a -D flag: WRITES in the source, RELAYS at once, FAULTS in all, of
 * the kinds that are switched on; one local instance.
 */
#ifndef WRITES
#define WRITES 2
#endif
#ifndef RELAYS
#define RELAYS 1
#endif
#ifndef FAULTS
#define FAULTS 1
#endif
#ifdef SOURCE_FAILOVER
#define GAP 2
#define OFFSETS 15
#define SENDING 6
#define JOURNAL ((FAULTS + 1) * WRITES + FAULTS + 1)
#else
#define GAP 1
#define SENDING 4
#define OFFSETS (WRITES + 1)
#define JOURNAL (WRITES + FAULTS + 1)
#endif
#ifdef FIRST
#define FIRST_RECORD NONE
#else
#define FIRST_RECORD START
#endif
#if defined(KILL) || defined(LOCAL_CUT)
#define ORPHANS
#endif

#ifdef COUNTED
#define KEEP_COUNT(r) orphan_count = acked_count[r]
#define DROP_COUNT orphan_count = 0
#else
#define KEEP_COUNT(r) skip
#define DROP_COUNT skip
#endif

#include "regions-state.pml"
#include "regions-source.pml"
#include "regions-local.pml"
#include "regions-relay.pml"

/* The call of relay `r` is lost, or it outlives its connection. */
inline abandonCall(r) {
#ifdef ORPHANS
  if
  :: call[r] == SENT && orphan == 0 -> orphan = WAITING(r, 0); orphan_from = acked[r]; KEEP_COUNT(r)
  :: skip
  fi;
#endif
  d_step { beginAgain(r) }
}

init {
  d_step {
    given = 1;
#ifdef LOCAL_FAILOVER
    proofs[0] = NONE
#endif
  }
  run world(); run publisher(); run instance(); run heartbeat();
  run relay(0); run relayHeartbeat(0);
#if RELAYS > 1
  run relay(1);
#ifndef ONE_BEAT
  run relayHeartbeat(1)
#endif
#endif
}

/* All faults, FAULTS of them in all; then the link has healed. */
proctype world() {
end:
  do
  :: d_step { faults > 0 -> faults = 0 }
  :: d_step { !reachable -> reachable = true }
#ifdef ORPHANS
  :: d_step {
      orphan != 0 ->
      if
      :: MATCHES(orphan_from, orphan_count) -> element = orphan; forward(orphan_from, element)
      :: else
      fi;
      orphan = 0;
      orphan_from = 0;
      DROP_COUNT
    }
#endif
#ifdef CUT
  :: d_step { faults > 0 && reachable -> faults--; reachable = false; breakLink(0); if :: RELAYS > 1 -> breakLink(RELAYS - 1) :: else fi }
#endif
#ifdef LOSE
  :: d_step { faults > 0 && live_n[0] > 0 -> faults--; live_n[0]--; LIVE(0, live_n[0]) = 0 }
#endif
#ifdef TRIM
  :: d_step { faults > 0 && before[tail] != START && IN_SOURCE(before[tail]) -> faults--; trim() }
#endif
#ifdef SOURCE_FAILOVER
  /* The first entry can be lost only before anything is trimmed. */
  :: atomic {
      faults > 0 && tail != START -> faults--;
      do
      :: d_step { tail != START && (before[tail] == START || IN_SOURCE(before[tail])) -> loseLast() }
      :: break
      od;
      d_step { breakLink(0); if :: RELAYS > 1 -> breakLink(RELAYS - 1) :: else fi }
    }
#endif
#ifdef LOCAL_FAILOVER
  :: atomic {
      faults > 0 && size > 0 -> faults--;
      do
      :: d_step { size > 0 -> loseLastLocally() }
      :: break
      od
    }
#endif
#ifdef KILL
  :: atomic { faults > 0 -> faults--; breakLink(0); abandonCall(0) }
#endif
#ifdef LOCAL_CUT
  :: atomic { faults > 0 && call[0] != 0 -> faults--; abandonCall(0) }
#endif
  od
}

#ifdef LTL
ltl heals { [] (HEALED -> <> settled) }
#endif
