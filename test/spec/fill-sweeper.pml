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
