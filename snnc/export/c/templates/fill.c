/* V(0): `runs` numbers, each of `size` neighbours. */
static void fill(SUM *v, const WEIGHT *values, size_t runs, size_t size)
{
    size_t run, i;
    for (run = 0; run < runs; run++) {
        for (i = 0; i < size; i++) {
            *v++ = values[run];
        }
    }
}
