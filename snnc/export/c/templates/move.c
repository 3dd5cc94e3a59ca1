/* Elements at other places: `from` says where each comes from. */
static void move(const INPUT *input, const WEIGHT *from, size_t count, SUM *sum)
{
    size_t i;
    for (i = 0; i < count; i++) {
        sum[i] = (SUM)(sum[i] + input[from[i]]);
    }
}
