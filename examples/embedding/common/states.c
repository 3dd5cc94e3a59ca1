#include "states.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"

static const char* text_of(const Json* entry, const char* key) {
  const Json* value = json_member(entry, key);
  return value != NULL && value->kind == JSON_STRING ? value->text : NULL;
}

static char* copy_of(const char* text) {
  const size_t size = strlen(text) + 1;
  char* copy = malloc(size);
  return copy == NULL ? NULL : memcpy(copy, text, size);
}

/* The element at `index` of a nested list that is stretched over the shape of the state, as numpy's broadcast_to. */
static bool element(const Json* initial, size_t depth, size_t rank, const int64_t* index, int64_t* value) {
  for (size_t axis = rank - depth; initial->kind == JSON_LIST; ++axis) {
    if (axis >= rank || initial->count == 0) return false;
    const size_t place = initial->count == 1 ? 0 : (size_t)index[axis];
    if (place >= initial->count) return false;
    initial = &initial->items[place];
  }
  *value = initial->integer;
  return initial->kind == JSON_NUMBER && initial->whole;
}

static bool read_start(const Json* initial, State* state) {
  size_t depth = 0;
  for (const Json* inner = initial; inner->kind == JSON_LIST && inner->count > 0; inner = inner->items) ++depth;
  state->start = malloc((state->size + 1) * sizeof *state->start);
  if (state->start == NULL || depth > state->rank) return false;
  int64_t index[STATE_MAX_RANK] = {0};
  for (size_t i = 0; i < state->size; ++i) {
    if (!element(initial, depth, state->rank, index, &state->start[i])) return false;
    for (size_t axis = state->rank; axis-- > 0 && ++index[axis] == state->dims[axis];) index[axis] = 0;
  }
  return true;
}

static bool read_dims(const Json* dims, State* state) {
  if (dims == NULL || dims->kind != JSON_LIST || dims->count > STATE_MAX_RANK) return false;
  state->rank = dims->count;
  state->size = 1;
  for (size_t axis = 0; axis < dims->count; ++axis) {
    const int64_t dim = dims->items[axis].integer;
    if (!dims->items[axis].whole || dim < 1 || state->size > SIZE_MAX / 16 / (size_t)dim) return false;
    state->dims[axis] = dim;
    state->size *= (size_t)dim;
  }
  return true;
}

static bool read_state(const Json* entry, State* state) {
  const char *name = text_of(entry, "name"), *next = text_of(entry, "next"), *type = text_of(entry, "dtype");
  const char *output = text_of(entry, "output"), *what = text_of(entry, "what");
  const Json* initial = json_member(entry, "initial");
  if (name == NULL || next == NULL || type == NULL || initial == NULL) return false;
  state->name = copy_of(name);
  state->next = copy_of(next);
  if (state->name == NULL || state->next == NULL) return false;
  if (strcmp(type, "int32") != 0 && strcmp(type, "int64") != 0) return false;
  state->type = strcmp(type, "int32") == 0 ? ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32 : ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
  state->is_count = output != NULL && *output != '\0';
  state->is_entered = what != NULL && strcmp(what, "entered charge") == 0;
  return read_dims(json_member(entry, "dims"), state) && read_start(initial, state);
}

static bool read_all(const Json* entries, const Json* options, States* states) {
  const Json* max_steps = json_member(options, "max_steps");
  if (entries->kind != JSON_LIST || entries->count == 0 || max_steps == NULL || !max_steps->whole) return false;
  states->max_steps = max_steps->integer;
  states->items = calloc(entries->count, sizeof *states->items);
  if (states->items == NULL) return false;
  for (size_t i = 0; i < entries->count; ++i) {
    State* state = &states->items[states->count++];
    if (!read_state(&entries->items[i], state)) return false;
    states->settles = states->settles || state->is_entered;
  }
  return true;
}

bool states_read(const char* states_json, const char* options_json, States* states, Error* error) {
  memset(states, 0, sizeof *states);
  Json entries, options;
  const bool readable = json_read(states_json, &entries);
  const bool both = json_read(options_json, &options) && readable;
  const bool good = both && read_all(&entries, &options, states);
  if (readable) json_free(&entries);
  json_free(&options);
  if (good) return true;
  states_free(states);
  return fail(error, "the states in the metadata of the file cannot be read");
}

void states_free(States* states) {
  for (size_t i = 0; i < states->count; ++i) {
    free(states->items[i].name);
    free(states->items[i].next);
    free(states->items[i].start);
  }
  free(states->items);
  memset(states, 0, sizeof *states);
}
