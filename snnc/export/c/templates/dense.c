/* A fully connected layer, spike by spike: each adds its row of weights. */
static void dense(const INPUT *input, size_t inputs, const WEIGHT *weight, size_t outputs, SUM *sum)
{
    size_t k;
    for (k = 0; k < inputs; k++, weight += outputs) {
        if (input[k] != 0) {
            add_row(sum, 1, weight, outputs, (SUM)input[k]);
        }
    }
}
