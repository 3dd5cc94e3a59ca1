
/* The input from pixels p, bytes, of which the network sees @prepared@. */
void @name@_encode_pixels(const uint8_t pixels[@NAME@_INPUTS], @name@_input input[@NAME@_INPUTS]);
