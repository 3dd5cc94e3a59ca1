/* RMP neurons, soft reset: s = (V >= threshold), V <- V - s * threshold. Returns how many fire. */
static uint32_t fire_soft(SUM *v, const WEIGHT *threshold, size_t runs, size_t size, int8_t *spikes)
{
    uint32_t fired = 0;
    size_t run, i;
    for (run = 0; run < runs; run++) {
        for (i = 0; i < size; i++, v++, spikes++) {
            *spikes = *v >= threshold[run];
            if (*spikes != 0) {
                *v = (SUM)(*v - threshold[run]);
                fired++;
            }
        }
    }
    return fired;
}
