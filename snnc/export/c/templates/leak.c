/* V <- V - floor(V / 2^leak) */
static void leak(SUM *v, size_t count, int leak)
{
    size_t i;
    for (i = 0; i < count; i++) {
        const SUM lost = (SUM)(v[i] < 0 ? ~(~v[i] >> leak) : v[i] >> leak);
        v[i] = (SUM)(v[i] - lost);
    }
}
