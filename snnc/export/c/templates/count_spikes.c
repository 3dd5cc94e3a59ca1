/* S <- S + s */
static void count_spikes(const int8_t *spikes, size_t count, COUNT *counts)
{
    size_t i;
    for (i = 0; i < count; i++) {
        counts[i] = (COUNT)(counts[i] + spikes[i]);
    }
}
