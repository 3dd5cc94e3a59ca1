
/* The same from pixels p, bytes, of which the network sees @prepared@. */
void @name@_draw_pixels(const uint8_t pixels[@NAME@_INPUTS], uint64_t seed, uint64_t sample, uint32_t step,
    @name@_input input[@NAME@_INPUTS]);
