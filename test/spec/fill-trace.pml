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
