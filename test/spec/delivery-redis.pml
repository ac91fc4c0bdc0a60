/*
 * Redis: the journal, the script and the channel.
 *   lib/transport/redis/publish.script.ts#append
 */

/* No answer of a reading is under way. */
#define ANSWERED (phase[0] == READ || phase[1] == READ)

inline push(i, w) {
  BOUND(queued[i] < QUEUE);
  queue[(i) * QUEUE + queued[i]] = w;
  queued[i]++
}

inline pop(i) {
  x = 0;
  shift(i)
}

/* Takes the wire at index `x` out of the queue. */
inline shift(i) {
  do
  :: x + 1 < queued[i] -> queue[(i) * QUEUE + x] = queue[(i) * QUEUE + x + 1]; x++
  :: else -> break
  od;
  queue[(i) * QUEUE + x] = 0;
  queued[i]--
}

/* The answer to a PING is of no use any more. */
inline ignorePing(i, ping) {
  x = 0;
  do
  :: x < queued[i] && queue[(i) * QUEUE + x] != ping -> x++
  :: x < queued[i] && queue[(i) * QUEUE + x] == ping -> shift(i); break
  :: else -> break
  od
}

inline broadcast(w) {
  if :: subscribed[0] -> push(0, w) :: else fi;
  if :: subscribed[1] -> push(1, w) :: else fi;
  STIR
}

inline isInJournal(offset) {
  found = false;
  x = oldest;
  do
  :: x < size -> found = found || J[x] == offset; x++
  :: else -> break
  od
}

/* An offset after the journal's end that was never given before: its digits are
   those of the message's UUID. With the clock behind it may be lower than lost ones. */
inline nextOffset() {
  id = (behind -> TAIL + 1 : top + GAP);
#ifndef MUTANT_OFFSETS_AGAIN
  do :: given & BIT(id) -> id++ :: else -> break od;
#endif
  BOUND(id < FAR);
  given = given | BIT(id);
  top = (id > top -> id : top)
}

inline append(id_, message, before_) {
  BOUND(size < JOURNAL);
  prev[id_] = before_;
  msg[id_] = message;
  J[size] = id_;
  size++;
  STIR
}

/* One message of a call. A retry is looked for from `since` on, or everywhere if
   the journal ends before that. */
inline script(m_) {
  reply = NONE;
#ifndef MUTANT_NO_SEARCH
  x = oldest;
  do
  :: x < size ->
    if
    :: state[m_] == RESENT && msg[J[x]] == m_ &&
        (J[x] >= since[m_] || since[m_] > TAIL) -> reply = J[x]
    :: else
    fi;
    x++
  :: else -> break
  od;
#endif
  if
  :: reply != NONE
  :: else ->
    x = oldest;
    do
    :: x < size -> assert(msg[J[x]] != m_); x++ /* announced once in a journal */
    :: else -> break
    od;
    nextOffset();
    end = TAIL;
    append(id, m_, end);
    broadcast(id);
    reply = id
  fi;
  state[m_] = ANSWER;
  answer[m_] = reply
}

inline trim() {
  oldest++;
  STIR
}

inline plant(before_) {
  nextOffset();
  append(id, 0, before_);
  planted = planted | BIT(id)
}

inline deleteEntry(index) {
  x = index;
  do
  :: x + 1 < size -> J[x] = J[x + 1]; x++
  :: else -> break
  od;
  size--;
  J[size] = 0;
  STIR
}

/* A replica that lacks the last entries takes over; all connections break. */
inline failover(count) {
  do
  :: count > 0 -> size--; J[size] = 0; count--
  :: else -> break
  od;
  cutSubscription(0);
  cutSubscription(1);
  cutCommands(0);
  cutCommands(1)
}

/* Another service publishes without a journal; its messages have no offset. */
inline publishForeign() {
  messages++;
  m = messages;
  state[m] = DONE;
  foreign = foreign | BIT(m);
  committed = committed | BIT(m);
  broadcast(FOREIGN_WIRE + m)
}
