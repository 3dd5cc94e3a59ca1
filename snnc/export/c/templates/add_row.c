/* sum[m * stride] += value * row[m]: a spike adds a row of weights, or takes it away. */
static void add_row(SUM *sum, size_t stride, const WEIGHT *row, size_t count, SUM value)
{
    size_t m;
    for (m = 0; m < count; m++) {
        sum[m * stride] = (SUM)(sum[m * stride] + value * row[m]);
    }
}
