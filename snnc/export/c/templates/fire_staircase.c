/* Staircase neurons: s = +1 if V >= threshold and S < high, -1 if V < 0 and S > low; V <- V - s * threshold, S <- S + s.
   Returns how many fire. */
static uint32_t fire_staircase(SUM *v, COUNT *counts, const WEIGHT *threshold, size_t runs, size_t size, int32_t low,
                               int32_t high, int8_t *spikes)
{
    uint32_t fired = 0;
    size_t run, i;
    for (run = 0; run < runs; run++) {
        for (i = 0; i < size; i++, v++, counts++, spikes++) {
            if (*v >= threshold[run] && *counts < high) {
                *v = (SUM)(*v - threshold[run]);
                *spikes = 1;
            } else if (*v < 0 && *counts > low) {
                *v = (SUM)(*v + threshold[run]);
                *spikes = -1;
            } else {
                *spikes = 0;
                continue;
            }
            *counts = (COUNT)(*counts + *spikes);
            fired++;
        }
    }
    return fired;
}
