/* `rows` of `size` elements each become parts of rows that are `stride` long. */
static void join(const INPUT *input, size_t rows, size_t size, size_t stride, SUM *sum)
{
    size_t row, i;
    for (row = 0; row < rows; row++, sum += stride) {
        for (i = 0; i < size; i++, input++) {
            sum[i] = (SUM)(sum[i] + *input);
        }
    }
}
