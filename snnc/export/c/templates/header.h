/* @network@ as C. Written by snnc @version@; do not edit.
 *
 * C99, integers only, no allocation. Every spike is the one that snnc gives, in every step.
 *
 *     static @name@_state net;
 *     @name@_start(&net);
 *     for (step = 0; step < @NAME@_STEPS; step++) {
@usage@ *     }
 */
#ifndef @NAME@_H
#define @NAME@_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Elements of an input, @input_shape@, in this order. */
#define @NAME@_INPUTS @inputs@
/* Steps that the network was converted for. */
#define @NAME@_STEPS @steps@
@room@/* Layers that fire or pass numbers on, the input first. */
#define @NAME@_LAYERS @layers@
@outputs@
/* @input_comment@ */
typedef @input_type@ @name@_input;

/* All that the network keeps: @struct_bytes@ bytes. The network is reentrant, one struct for each one that runs. */
typedef struct {
@members@} @name@_state;

/* Back to the first step. */
void @name@_start(@name@_state *net);

/* One step on this input. Returns how many neurons and pools fired@quiet@. */
uint32_t @name@_step(@name@_state *net, const @name@_input input[@NAME@_INPUTS]);
@encoders@
#ifdef __cplusplus
}
#endif

#endif
