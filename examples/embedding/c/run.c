#include "run.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { FRAME_BLOCK = 16 }; /* steps; any number from 1 to 64 gives the same results */

/* Feeds an int64 scalar, whose memory is the caller's; `value` is to be released. */
static bool add_scalar(const Network* network, Feeds* feeds, const char* name, int64_t* number, OrtValue** value,
                       Error* error) {
  const int64_t no_dims[1] = {0};
  if (!network_wrap(network, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, number, sizeof *number, no_dims, 0, value, error)) {
    return false;
  }
  feeds_add(feeds, name, *value);
  return true;
}

static void release_all(const Network* network, OrtValue** values, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (values[i] != NULL) network->api->ReleaseValue(values[i]);
    values[i] = NULL;
  }
}

static bool check_steps(const Network* network, const Choice* choice, Error* error) {
  const int64_t most = network->states.max_steps;
  const bool good = !choice->has_steps || (choice->steps >= 1 && choice->steps <= most);
  return good || fail(error, "steps must be from 1 to %" PRId64, most);
}

/* --- loop and unrolled ------------------------------------------------------------------------------------------ */

bool run_whole(const Network* network, OrtValue* images, const Choice* choice, OrtValue** outputs, Error* error) {
  static const char* const names[] = {"steps", "seed", "first_sample"};
  int64_t numbers[] = {choice->steps, choice->seed, 0};
  const bool given[] = {choice->has_steps, choice->has_seed, false};
  OrtValue* scalars[] = {NULL, NULL, NULL};
  Feeds feeds = {0};
  bool good = check_steps(network, choice, error) && feeds_make(network, &feeds, error);
  if (good) feeds_add(&feeds, network->inputs.items[0], images);
  for (size_t i = 0; good && i < 3; ++i) {
    const bool required = names_have(&network->inputs, names[i]), optional = names_have(&network->optional, names[i]);
    if (given[i] && !required && !optional) {
      good = fail(error, "%s is fixed in this file", names[i]);
    } else if (i == 0 && required && !given[i]) {
      good = fail(error, "the file has no default for steps: give --steps");
    } else if (required || given[i]) {
      good = add_scalar(network, &feeds, names[i], &numbers[i], &scalars[i], error);
    }
  }
  good = good && network_run(network, &feeds, outputs, error);
  release_all(network, scalars, 3);
  feeds_free(&feeds);
  return good;
}

/* --- states ----------------------------------------------------------------------------------------------------- */

/* Writes the values before the first step, or zeros. */
static bool write_start(const Network* network, const State* state, int64_t samples, bool zeros, OrtValue* value,
                        Error* error) {
  void* data = NULL;
  if (!network_check(network, network->api->GetTensorMutableData(value, &data), error)) return false;
  for (size_t i = 0; i < (size_t)samples * state->size; ++i) {
    const int64_t start = zeros ? 0 : state->start[i % state->size];
    if (state->type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32) {
      ((int32_t*)data)[i] = (int32_t)start;
    } else {
      ((int64_t*)data)[i] = start;
    }
  }
  return true;
}

static bool make_state(const Network* network, const State* state, int64_t samples, OrtValue** value, Error* error) {
  int64_t shape[STATE_MAX_RANK + 1] = {samples};
  memcpy(shape + 1, state->dims, state->rank * sizeof *shape);
  OrtStatus* status =
      network->api->CreateTensorAsOrtValue(network->allocator, shape, state->rank + 1, state->type, value);
  return network_check(network, status, error) && write_start(network, state, samples, false, *value, error);
}

bool carried_make(const Network* network, int64_t samples, Carried* carried, Error* error) {
  const States* states = &network->states;
  carried->now = calloc(states->count, sizeof *carried->now);
  carried->next = calloc(states->count, sizeof *carried->next);
  if (carried->now == NULL || carried->next == NULL) return fail(error, "not enough memory");
  for (size_t i = 0; i < states->count; ++i) {
    if (!make_state(network, &states->items[i], samples, &carried->now[i], error) ||
        !make_state(network, &states->items[i], samples, &carried->next[i], error)) {
      return false;
    }
  }
  return true;
}

void carried_free(const Network* network, Carried* carried) {
  if (carried->now != NULL) release_all(network, carried->now, network->states.count);
  if (carried->next != NULL) release_all(network, carried->next, network->states.count);
  free(carried->now);
  free(carried->next);
}

/* The output that the next value of a state is; the number of outputs where there is none. */
static size_t output_of(const Network* network, const State* state) {
  size_t output = 0;
  while (output < network->outputs.count && strcmp(network->outputs.items[output], state->next) != 0) ++output;
  return output;
}

/* --- stream ----------------------------------------------------------------------------------------------------- */

/* One block: states from `now` to `next`, then these change places. */
static bool run_block(const Network* network, OrtValue* images, int64_t seed, int64_t first_step, int64_t count,
                      Carried* carried, OrtValue** outputs, Error* error) {
  static const char* const names[] = {"seed", "first_sample", "first_step", "count"};
  int64_t numbers[] = {seed, 0, first_step, count};
  OrtValue* scalars[] = {NULL, NULL, NULL, NULL};
  const States* states = &network->states;
  Feeds feeds = {0};
  bool good = feeds_make(network, &feeds, error);
  if (good) feeds_add(&feeds, network->inputs.items[0], images);
  for (size_t i = 0; good && i < 4; ++i) {
    if (!names_have(&network->inputs, names[i]) && !names_have(&network->optional, names[i])) continue;
    good = add_scalar(network, &feeds, names[i], &numbers[i], &scalars[i], error);
  }
  for (size_t i = 0; good && i < states->count; ++i) {
    const size_t output = output_of(network, &states->items[i]);
    if (!names_have(&network->inputs, states->items[i].name) || output == network->outputs.count) {
      good = fail(error, "the file has no input or no output for the state %s", states->items[i].name);
    } else {
      feeds_add(&feeds, states->items[i].name, carried->now[i]);
      outputs[output] = carried->next[i];
    }
  }
  good = good && network_run(network, &feeds, outputs, error);
  OrtValue** written = carried->next;
  carried->next = carried->now;
  carried->now = written;
  release_all(network, scalars, 4);
  feeds_free(&feeds);
  return good;
}

bool run_blocks(const Network* network, OrtValue* images, const Choice* choice, Carried* carried, OrtValue** outputs,
                Error* error) {
  if (!choice->has_steps) return fail(error, "a file of the schedule stream runs as long as its host says: give --steps");
  if (choice->has_seed && !names_have(&network->inputs, "seed")) return fail(error, "seed is fixed in this file");
  if (!check_steps(network, choice, error)) return false;
  for (int64_t step = 0; step < choice->steps; step += LONGEST_BLOCK) {
    const int64_t left = choice->steps - step, count = left < LONGEST_BLOCK ? left : LONGEST_BLOCK;
    if (!run_block(network, images, choice->seed, step, count, carried, outputs, error)) return false;
  }
  return true;
}

/* Whether no stream fired in the last step before `steps`. */
static bool is_quiet(const Network* network, int64_t streams, int64_t steps, OrtValue** outputs, bool* quiet,
                     Error* error) {
  size_t output = 0;
  while (strcmp(network->outputs.items[output], "steps_used") != 0) {
    if (++output == network->outputs.count) return fail(error, "the file does not say how many steps it used");
  }
  void* used = NULL;
  if (!network_check(network, network->api->GetTensorMutableData(outputs[output], &used), error)) return false;
  *quiet = true;
  for (int64_t stream = 0; stream < streams; ++stream) *quiet = *quiet && ((int64_t*)used)[stream] < steps;
  return true;
}

bool run_frame(const Network* network, OrtValue* frames, int64_t streams, Carried* carried, OrtValue** outputs,
               Error* error) {
  const States* states = &network->states;
  for (size_t i = 0; i < states->count; ++i) { /* spikes, operations and steps are counted frame by frame */
    const State* state = &states->items[i];
    if (state->is_count && !write_start(network, state, streams, true, carried->now[i], error)) return false;
  }
  for (int64_t step = 0; step < states->max_steps; step += FRAME_BLOCK) {
    const int64_t left = states->max_steps - step, count = left < FRAME_BLOCK ? left : FRAME_BLOCK;
    bool quiet = false;
    if (!run_block(network, frames, 0, step, count, carried, outputs, error)) return false;
    if (!is_quiet(network, streams, step + count, outputs, &quiet, error) || quiet) return quiet;
  }
  return fail(error, "the network is not quiet after all its steps");
}
