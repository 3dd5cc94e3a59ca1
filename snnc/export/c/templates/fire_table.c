/* Neurons with a table: s = sign(target(U) - S), S <- S + s. `breaks` are the charges from which on the target is the
   next one of `targets`; `runs` tables, each of `size` neighbours. Returns how many fire. */
static uint32_t fire_table(const SUM *u, COUNT *counts, const WEIGHT *breaks, const INPUT *targets, size_t steps,
                           size_t runs, size_t size, int8_t *spikes)
{
    uint32_t fired = 0;
    size_t run, i;
    for (run = 0; run < runs; run++, breaks += steps, targets += steps + 1) {
        for (i = 0; i < size; i++, u++, counts++, spikes++) {
            size_t reached = 0, left = steps;
            while (left > 0) { /* how many breaks the charge has reached, by halving */
                const size_t half = left / 2;
                if (*u >= breaks[reached + half]) {
                    reached += half + 1;
                    left -= half + 1;
                } else {
                    left = half;
                }
            }
            *spikes = (int8_t)((targets[reached] > *counts) - (targets[reached] < *counts));
            *counts = (COUNT)(*counts + *spikes);
            fired += *spikes != 0;
        }
    }
    return fired;
}
