/* The three ways to run a converted network: whole, in blocks, and frame by frame. */
#pragma once

#include "network.h"

typedef struct Choice {
  bool has_steps, has_seed;
  int64_t steps, seed;
} Choice;

/* A file of the schedules loop and unrolled: one call runs all steps. `outputs` as for network_run. */
bool run_whole(const Network* network, OrtValue* images, const Choice* choice, OrtValue** outputs, Error* error);

/* The states of a batch, in two places: a block reads one and writes the other, so nothing is copied or allocated. */
typedef struct Carried {
  OrtValue** now;
  OrtValue** next;
} Carried;

/* States before the first step; to be freed with carried_free, whatever it returns. */
bool carried_make(const Network* network, int64_t samples, Carried* carried, Error* error);

void carried_free(const Network* network, Carried* carried);

/* A file of the schedule stream: `choice->steps` steps, in blocks of at most 64. States are those in `outputs` too, where
 * the file shows them (spike_totals, synaptic_operations): these belong to `carried`. */
bool run_blocks(const Network* network, OrtValue* images, const Choice* choice, Carried* carried, OrtValue** outputs,
                Error* error);

/* The next frame of streams, of a network that settles: goes on from the states of the frame before, until it is quiet. */
bool run_frame(const Network* network, OrtValue* frames, int64_t streams, Carried* carried, OrtValue** outputs,
               Error* error);
