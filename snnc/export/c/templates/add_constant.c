/* A bias, the current of every step: `runs` numbers, each of `size` neighbours. */
static void add_constant(const WEIGHT *bias, size_t runs, size_t size, SUM *sum)
{
    size_t run, i;
    for (run = 0; run < runs; run++) {
        for (i = 0; i < size; i++, sum++) {
            *sum = (SUM)(*sum + bias[run]);
        }
    }
}
