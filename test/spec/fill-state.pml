/* State of the fill model, and the steps that several processes share. */

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

#ifdef REPLICA
#include "fill-replica.pml"
#else
#define rowFor(f) row
#define isKeepable(f) true
#define isJoinable(f) joinable[f]
#define isOwed(f) true
#define placeOf(w) 0
#define placeOfWidened 0
#endif

#if defined(MUTANT_ACCEPT_UNCHECKED)
#define serves(i, offset) true
#elif defined(MUTANT_EARLY_UNCOUNTED)
#define serves(i, offset) (clean[i] & BIT(offset))
#else
#define serves(i, offset) ((clean[i] & BIT(offset)) && !hasEarly(i))
#endif

inline evict(i, newest, before, place) {
#ifndef MUTANT_KEEP_L1
  l1[i] = 0;
#endif
  clean[i] = 0;
  applied[i] = (newest > applied[i] -> newest : applied[i]);
#ifdef REPLICA
  addMark(i, place);
#endif
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

inline deliverOwn(i, offset) {
  if
  :: !delivered[i] ->
    delivered[i] = true;
#ifndef MUTANT_EARLY_UNCOUNTED
    early[i] = true;
#endif
    evict(i, version[i], 2 * (offset) + 1, placeOf(i))
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
