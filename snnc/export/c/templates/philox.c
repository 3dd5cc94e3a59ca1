/* Philox4x32-10, a counter-based generator: the same counter and key always give the same four words.
   Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (SC 2011). */
static void philox(uint32_t counter[4], uint64_t seed)
{
    uint32_t low = (uint32_t)seed, high = (uint32_t)(seed >> 32);
    int round;
    for (round = 0; round < 10; round++) {
        const uint64_t first = (uint64_t)0xD2511F53 * counter[0], second = (uint64_t)0xCD9E8D57 * counter[2];
        counter[0] = (uint32_t)(second >> 32) ^ counter[1] ^ low;
        counter[2] = (uint32_t)(first >> 32) ^ counter[3] ^ high;
        counter[1] = (uint32_t)second;
        counter[3] = (uint32_t)first;
        low += (uint32_t)0x9E3779B9;
        high += (uint32_t)0xBB67AE85;
    }
}

/* The four random numbers of 24 bits that elements 4 * quarter to 4 * quarter + 3 draw in a step. */
static void draw(size_t quarter, uint32_t step, uint64_t seed, uint64_t sample, uint32_t drawn[4])
{
    int i;
    drawn[0] = (uint32_t)quarter;
    drawn[1] = step;
    drawn[2] = (uint32_t)sample;
    drawn[3] = (uint32_t)(sample >> 32);
    philox(drawn, seed);
    for (i = 0; i < 4; i++) {
        drawn[i] >>= 8;
    }
}

/* A spike with the probability |quota| / 2^24, and with its sign. */
static int8_t spike_of(int32_t quota, uint32_t drawn)
{
    if (quota < 0) {
        return drawn < (uint32_t)-quota ? -1 : 0;
    }
    return drawn < (uint32_t)quota ? 1 : 0;
}
