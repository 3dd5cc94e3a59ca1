/* The states that the host of a file of the schedule stream carries from block to block (`snnc.states`). */
#pragma once

#include <onnxruntime_c_api.h>

#include "error.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { STATE_MAX_RANK = 8, LONGEST_BLOCK = 64 };

typedef struct State {
  char* name; /* of the input */
  char* next; /* of the output with the value after a block */
  ONNXTensorElementDataType type; /* int32 or int64 */
  size_t rank;                    /* without the batch */
  int64_t dims[STATE_MAX_RANK];
  size_t size;     /* elements of one sample */
  int64_t* start;  /* their values before the first step */
  bool is_count;   /* of spikes, operations or steps: begins at zero in every frame */
  bool is_entered; /* what has entered of the input: there are frames only where there is such a state */
} State;

typedef struct States {
  State* items;
  size_t count;
  int64_t max_steps; /* more steps could overflow */
  bool settles;      /* whether the next frame may go on from the states of the last one */
} States;

/* From the values of `snnc.states` and `snnc.options` in the metadata; to be freed with states_free. */
bool states_read(const char* states_json, const char* options_json, States* states, Error* error);

void states_free(States* states);

#ifdef __cplusplus
}
#endif
