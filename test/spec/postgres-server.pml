/*
 * PostgreSQL: transactions, the slot, and what the server loses.
 */
inline commit(t) {
  wal[tip] = t;
  tip++;
  logged = logged | BIT(t)
}

/* Sessions can see a transaction some time after its commit record is written. */
#define COMMIT(t) d_step { !(logged & BIT(t)) -> commit(t) }
#define SHOW(t) d_step { (logged & ~visible) & BIT(t) -> visible = visible | BIT(t) }

proctype writers() {
end:
  do
  :: COMMIT(0)
  :: SHOW(0)
#if TXS > 1
  :: COMMIT(1)
  :: SHOW(1)
#endif
#if TXS > 2
  :: COMMIT(2)
  :: SHOW(2)
#endif
#ifdef ASYNC
  :: d_step { flushed < tip -> flushed++ }
#endif
  od
}

/* A new slot begins at the end of the log, with transactions before it that are
   not visible yet. */
inline createSlot() {
#ifdef ASYNC
  flushed = tip;
#endif
  exists = true;
  confirmed = tip;
  base = tip
}

inline loseSlot() {
  exists = false;
  confirmed = 0;
  base = 0;
  owner = NOBODY
}

/* The last commit is lost; its client may write it again. */
inline loseCommit() {
  tip--;
  logged = logged & ~BIT(wal[tip]);
  stamp[wal[tip]]++;
  wal[tip] = 0
}

/* A server that has started has nothing under way. */
inline started() {
  visible = logged;
  owner = NOBODY;
#ifdef ASYNC
  flushed = tip
#endif
}

/* Confirmed positions are saved some time later. */
inline confirmedGoesBack() {
  do
  :: d_step { exists && confirmed > base -> confirmed-- }
  :: break
  od
}
