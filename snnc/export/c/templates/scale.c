/* One synapse for each neuron: `runs` weights, each of `size` neighbours. */
static void scale(const INPUT *input, const WEIGHT *weight, size_t runs, size_t size, SUM *sum)
{
    size_t run, i;
    for (run = 0; run < runs; run++) {
        for (i = 0; i < size; i++, input++, sum++) {
            if (*input != 0) {
                *sum = (SUM)(*sum + (SUM)*input * weight[run]);
            }
        }
    }
}
