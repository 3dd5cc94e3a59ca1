
/* The spikes of an input in a step: drawn by Philox4x32-10 from seed, number of the sample, step and element alone, so that
   any of them can be drawn again. `quota`: ceil(2^24 * |x| / lambda), at most 2^24, with the sign of x (@name@_quota of
   @name@_float.h computes it). snnc's sample i of a data set is `sample` i, its default seed @seed@. */
void @name@_draw(const int32_t quota[@NAME@_INPUTS], uint64_t seed, uint64_t sample, uint32_t step,
    @name@_input input[@NAME@_INPUTS]);
