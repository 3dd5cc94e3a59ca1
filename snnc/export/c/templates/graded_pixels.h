
/* The input from pixels as they are stored, which snnc has @prepared@. */
void @name@_encode_pixels(const uint8_t pixels[@NAME@_INPUTS], @name@_input input[@NAME@_INPUTS]);
