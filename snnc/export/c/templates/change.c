/* The change of the input since the last step. */
static void change(const INPUT *input, INPUT *entered, size_t count, SUM *changes)
{
    size_t i;
    for (i = 0; i < count; i++) {
        changes[i] = (SUM)(input[i] - entered[i]);
        entered[i] = input[i];
    }
}
