/*
 * PostgreSQL as a source: from a commit, through the slot and the process that holds
 * it, to the journal in Redis and the copies of a reader. postgres.md says in
 * English what is modelled, what is left out, and the bounds.
 *
 * Bounds, each by a -D flag: TXS transactions, HOLDERS of the slot, FAULTS in all, of
 * the kinds that are switched on; one reader.
 */
#ifndef TXS
#define TXS 2
#endif
#ifndef HOLDERS
#define HOLDERS 1
#endif
#ifndef FAULTS
#define FAULTS 1
#endif
#ifndef JOURNAL
#define JOURNAL 8
#endif
#ifdef FIRST
#define FIRST_RECORD NONE
#define ABSENT true
#else
#define FIRST_RECORD 0
#define ABSENT false
#endif
#if defined(KILL) || defined(LOST_CALL)
#define ORPHANS
#endif
#if defined(MUTANT_DEBT_IN_MEMORY) || defined(MUTANT_RECORD_FIRST_SLOT)
#define KEEPS_MEMORY
#endif
#if defined(KEEPS_MEMORY) || defined(MUTANT_REPEAT_IN_MEMORY) || defined(MUTANT_AHEAD)
#define MEMORY
#endif
#if defined(DEFER) || defined(MUTANT_NO_REPETITION) || defined(MUTANT_REPEAT_IN_MEMORY) || defined(MUTANT_EARLY_SAME_ID)
#define GIVE_UP
#endif
#ifdef MUTANT_EARLY_SAME_ID
#define EARLY_ID 0
#else
#define EARLY_ID EARLY
#endif

#include "postgres-state.pml"
#include "postgres-server.pml"
#include "postgres-redis.pml"
#include "postgres-holder.pml"

/* The call of holder `h` is lost, or it outlives its connection. */
inline abandonCall(h) {
#ifdef ORPHANS
  if
  :: call[h] == SENT && orphan == 0 -> orphan = SENT; orphan_item = item[h]; orphan_from = acked[h]; orphan_to = target[h]
  :: skip
  fi
#else
  skip
#endif
}

inline kill(h) {
  if
  :: HOLDS(h) -> owner = GHOST
  :: else
  fi;
  beginAgain(h);
#ifdef MEMORY
  memory[h] = 0
#endif
}

#ifdef MUTANT_SAME_SERVER
#define ANOTHER skip
#else
#define ANOTHER identity++
#endif

/* A standby that lacks the last commits takes over, or a backup. */
inline loseCommits() {
  do
  :: d_step { tip > 0 -> loseCommit() }
  :: break
  od;
  faults--;
  d_step {
    started();
    if
    :: confirmed > tip -> confirmed = tip
    :: else
    fi;
    if
    :: base > tip -> loseSlot()
    :: else
    fi;
    ANOTHER
  }
}

#ifdef MUTANT_NO_HEARTBEAT
#define IN_STEP(h) true
#else
#define IN_STEP(h) (record == acked[h])
#endif
#ifdef MEMORY
#define NOTHING_KEPT(h) (memory[h] == 0)
#else
#define NOTHING_KEPT(h) true
#endif
#ifdef ORPHANS
#define NO_ORPHAN (orphan == 0)
#else
#define NO_ORPHAN true
#endif
#ifdef LOADS
#define NO_LOAD (load == 0)
#else
#define NO_LOAD true
#endif
#define CURRENT(h) (FREE(h) && HOLDS(h) && !owes[h] && position[h] == tip && received[h] == tip && DEBT(acked[h]) == 0 && IN_STEP(h) && NOTHING_KEPT(h))
/* All faults have healed, and everything is delivered. */
#define QUIET (faults == 0 && logged == visible && read == size && NO_ORPHAN && NO_LOAD && (CURRENT(0) || CURRENT(HOLDERS - 1)))

proctype checker() {
end:
  do
  :: d_step {
      QUIET ->
      x = 0;
      do
      :: x < TXS -> assert(copy[x] == EMPTY || copy[x] == VALUE(x)); x++ /* no copy is stale */
      :: else -> break
      od;
#ifdef LTL
      settled = settled || visible == ALL;
#endif
      x = 0
    }
  od
}

/* All faults, FAULTS of them in all. */
proctype world() {
  byte h;
end:
  do
  :: d_step { faults > 0 -> faults = 0 }
  :: d_step { owner == GHOST -> owner = NOBODY }
#ifdef ORPHANS
  :: d_step {
      orphan != 0 ->
      if
      :: MATCHES(orphan_from) -> script(orphan_item, orphan_from, orphan_to)
      :: else
      fi;
      orphan = 0;
      orphan_item = 0;
      orphan_from = 0;
      orphan_to = 0
    }
#endif
#ifdef KILL
  :: atomic { faults > 0 -> faults--; select(h : 0 .. HOLDERS - 1); abandonCall(h); d_step { kill(h); h = 0 } }
#endif
#ifdef LOST_CALL
  :: atomic {
      faults > 0 -> select(h : 0 .. HOLDERS - 1);
      if
      :: call[h] == SENT || call[h] == DONE ->
        faults--;
        abandonCall(h);
#ifdef MUTANT_LOST_IS_DONE
        call[h] = DONE
#else
        d_step { release(h) }
#endif
      :: else
      fi;
      h = 0
    }
#endif
#ifdef CUT
  /* The server ends a session, or does not notice yet that its client is gone. */
  :: d_step { faults > 0 && owner != NOBODY && owner != GHOST -> faults--; owner = NOBODY }
  :: d_step { faults > 0 && owner != NOBODY && owner != GHOST -> faults--; owner = GHOST }
#endif
#ifdef LOSE_SLOT
  :: d_step { faults > 0 && exists -> faults--; loseSlot() }
#endif
#ifdef RECREATE
  :: d_step { faults > 0 && exists -> faults--; owner = NOBODY; createSlot() }
#endif
#ifdef CRASH
  :: atomic {
      faults > 0 ->
#ifdef ASYNC
      do
      :: d_step { tip > flushed -> loseCommit() }
      :: tip == flushed -> break
      od;
#endif
      faults--;
      d_step { started(); ANOTHER };
      confirmedGoesBack()
    }
#endif
#ifdef FAILOVER
  /* The standby has an older slot, or none. */
  :: atomic { faults > 0 -> loseCommits(); confirmedGoesBack() }
  :: atomic { faults > 0 -> loseCommits(); d_step { loseSlot() } }
#endif
#ifdef REDIS_FAILOVER
  :: atomic {
      faults > 0 && size > 0 -> faults--;
      do
      :: d_step { size > 0 -> loseEntry() }
      :: break
      od
    }
#endif
#ifdef WIPED
  :: d_step { faults > 0 && record != NONE -> faults--; record = NONE }
#endif
#ifdef TRIM
  :: d_step { faults > 0 && known != 0 -> faults--; known = 0 }
#endif
  od
}

init {
  byte h;
  do
  :: h < HOLDERS -> run holder(h); h++
  :: else -> break
  od;
  run writers(); run reader(); run checker(); run world()
}

#ifdef LTL
ltl heals { [] (faults == 0 -> <> settled) }
#endif
