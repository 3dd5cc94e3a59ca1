/* @network@ in floating point, for those who have it: inputs from real numbers, outputs in units of the ANN.
 *
 * Nothing of @name@.c needs this. float and double must be those of IEEE 754 without excess precision
 * (FLT_EVAL_METHOD 0); then both are the numbers of snnc, bit for bit.
 */
#ifndef @NAME@_FLOAT_H
#define @NAME@_FLOAT_H

#include <math.h>

#include "@name@.h"

@encode@
@decode@
#endif
