/*
 * The local region: the forward script, the proof, and one instance.
 */

/* `covered` becomes the writes that the local journal announces. */
inline announced() {
  chain = 0;
  x = 0;
  do
  :: x < size && journal[x] < WIDE -> chain = chain | change[journal[x]]; x++
  :: x < size && journal[x] >= WIDE -> coverage(TO(journal[x])); chain = chain | covered; x++
  :: else -> break
  od;
  covered = chain
}

/* The record goes from `from` to the end of `element_`. */
inline checkStep(from, element_) {
  if
  :: element_ < WIDE ->
    /* No entry is passed over. */
    assert(from != NONE && before[element_] == from)
  :: else ->
    /* One widening for a gap that the journal does not cover, or a first start. */
    if
    :: from == NONE -> kept = size > 0
    :: else -> goesOn(from); kept = holds
    fi;
    assert(!kept)
  fi
}

inline append(element_) {
  assert(size < JOURNAL); /* entries and widenings at most */
  x = 0;
  do
  :: x < size ->
    /* Entries are announced once in the local journal. */
    assert(element_ >= WIDE || journal[x] != element_);
#ifdef BY_MESSAGE
    assert(element_ >= WIDE || journal[x] >= WIDE || change[journal[x]] != change[element_]);
#endif
    x++
  :: else -> break
  od;
  journal[size] = element_;
  size++;
#ifdef LOCAL_FAILOVER
  proofs[size] = proof
#endif
}

#ifdef MUTANT_SET_WITHOUT_COMPARE
#define MATCHES(from, n) true
#elif defined(COUNTED)
#define MATCHES(from, n) (record == (from) && count == (n))
#else
#define MATCHES(from, n) (record == (from))
#endif

#ifdef MUTANT_EMPTY_AS_NONE
#define RECORDED(element) (TO(element) == START -> NONE : TO(element))
#else
#define RECORDED(element) TO(element)
#endif

/* The script, for one message. */
inline forward(from, element_) {
  checkStep(record, element_);
#ifdef MUTANT_NO_WIDENING
  if :: element_ < WIDE -> append(element_) :: else fi;
#else
  append(element_);
#endif
#ifdef COUNTED
  count = count + (element_ >= WIDE -> 1 : 0);
#endif
  record = RECORDED(element_)
}

/* Local Redis accepts a proof up to `offset`. */
inline prove(offset) {
  announced();
  x = covered;
  coverage(offset);
  /* Each proven write was announced, or a widening came after it. */
  assert((covered & ~x) == 0);
  proof = offset;
#ifdef LOCAL_FAILOVER
  proofs[size] = proof
#endif
}

/* A replica that lacks the last entry takes over, with the record and the proof
   of its time. The instance notices that its position is gone. */
#ifdef LOCAL_FAILOVER
inline loseLastLocally() {
  proofs[size] = 0;
  size--;
#ifdef COUNTED
  count = count - (journal[size] >= WIDE -> 1 : 0);
#endif
  journal[size] = 0;
  record = LAST;
  proof = proofs[size];
  if
  :: read > size -> read = size; broken = true
  :: else
  fi;
#ifndef MUTANT_TORN_BEAT
  beating = false;
  beat_proof = 0;
#endif
  settled = false
}
#endif

proctype instance() {
end:
  do
  :: d_step { copy == EMPTY -> copy = BIT(writes) - 1 }
  :: d_step { broken -> broken = false; read = size; copy = EMPTY }
  :: d_step { !broken && read < size -> read++; copy = EMPTY }
  od
}

/* The proof is read before the end of the journal. */
proctype heartbeat() {
end:
  do
#ifdef MUTANT_PROOF_READ_LAST
  :: d_step { !beating && proof != NONE && read == size && !broken -> beating = true }
  :: d_step {
      beating && proof != NONE ->
      coverage(proof);
      assert(copy == EMPTY || (covered & ~copy) == 0);
      beating = false
    }
#else
  :: d_step { !beating && proof != NONE -> beating = true; beat_proof = proof }
  :: d_step {
      beating ->
      if
      :: read == size && !broken ->
        coverage(beat_proof);
        /* No copy is older than the proof. */
        assert(copy == EMPTY || (covered & ~copy) == 0);
        settled = covered == ALL_WRITES && lost == 0 && beat_proof == tail
      :: else
      fi;
      beating = false;
      beat_proof = 0
    }
#endif
  od
}
