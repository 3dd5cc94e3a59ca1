/* host NET.snn.onnx IMAGES.npy [--steps N] [--seed N] [--library PATH]
 *
 * Runs a network that snnc converted, with onnxruntime and without Python, and prints for each image every output of the
 * network, its spikes and its operations. What is asked of the file follows from its schedule: loop and unrolled run in
 * one call, stream in blocks whose states the host carries. Of a network that settles (--method exact) with the schedule
 * stream, the images are the frames of one stream. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "npy.h"
#include "run.h"

typedef struct Arguments {
  const char *network, *images, *library;
  Choice choice;
} Arguments;

static bool read_number(const char* option, const char* text, int64_t* number, Error* error) {
  char* end = NULL;
  errno = 0;
  const long long value = strtoll(text, &end, 10);
  *number = value;
  return (end != text && *end == '\0' && errno == 0) || fail(error, "%s %s: must be an integer", option, text);
}

static bool read_arguments(int count, char** words, Arguments* arguments, Error* error) {
  static const char usage[] = "usage: host NET.snn.onnx IMAGES.npy [--steps N] [--seed N] [--library PATH]";
  Choice* choice = &arguments->choice;
  for (int i = 1; i < count; ++i) {
    const char* value = i + 1 < count ? words[i + 1] : NULL;
    if (strncmp(words[i], "--", 2) == 0) {
      if (value == NULL) return fail(error, "%s", usage);
      if (strcmp(words[i], "--steps") == 0) {
        choice->has_steps = true;
        if (!read_number("--steps", value, &choice->steps, error)) return false;
      } else if (strcmp(words[i], "--seed") == 0) {
        choice->has_seed = true;
        if (!read_number("--seed", value, &choice->seed, error)) return false;
      } else if (strcmp(words[i], "--library") == 0) {
        arguments->library = value;
      } else {
        return fail(error, "%s", usage);
      }
      ++i;
    } else if (arguments->network == NULL) {
      arguments->network = words[i];
    } else if (arguments->images == NULL) {
      arguments->images = words[i];
    } else {
      return fail(error, "%s", usage);
    }
  }
  return arguments->images != NULL || fail(error, "%s", usage);
}

static bool print_value(const Network* network, const char* name, int64_t samples, int64_t sample, OrtValue* value,
                        Error* error) {
  const OrtApi* api = network->api;
  OrtTensorTypeAndShapeInfo* info = NULL;
  ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
  size_t size = 0;
  void* data = NULL;
  if (!network_check(network, api->GetTensorTypeAndShape(value, &info), error)) return false;
  const bool good = network_check(network, api->GetTensorElementType(info, &type), error) &&
                    network_check(network, api->GetTensorShapeElementCount(info, &size), error) &&
                    network_check(network, api->GetTensorMutableData(value, &data), error);
  api->ReleaseTensorTypeAndShapeInfo(info);
  if (!good) return false;
  if (type != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT && type != ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64) {
    return fail(error, "output %s is neither float32 nor int64", name);
  }
  const size_t each = size / (size_t)samples;
  printf("  %s:", name);
  for (size_t i = (size_t)sample * each; i < ((size_t)sample + 1) * each; ++i) {
    if (type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) {
      printf(" %.9g", (double)((float*)data)[i]); /* nine digits tell every float32 from the next */
    } else {
      printf(" %" PRId64, ((int64_t*)data)[i]);
    }
  }
  printf("\n");
  return true;
}

/* Is the output the next value of a potential, which is nobody's business but the network's? */
static bool is_hidden(const Network* network, const char* output) {
  for (size_t i = 0; network->is_stream && i < network->states.count; ++i) {
    const State* state = &network->states.items[i];
    if (!state->is_count && strcmp(state->next, output) == 0) return true;
  }
  return false;
}

static bool print_results(const Network* network, int64_t samples, const char* what, int64_t first, OrtValue** outputs,
                          Error* error) {
  for (int64_t sample = 0; sample < samples; ++sample) {
    printf("%s %" PRId64 "\n", what, first + sample);
    for (size_t i = 0; i < network->outputs.count; ++i) {
      const char* name = network->outputs.items[i];
      if (!is_hidden(network, name) && !print_value(network, name, samples, sample, outputs[i], error)) return false;
    }
  }
  return true;
}

/* Releases what onnxruntime made; the outputs that are states belong to `carried`. */
static void release_outputs(const Network* network, const Carried* carried, OrtValue** outputs) {
  for (size_t i = 0; i < network->outputs.count; ++i) {
    bool is_state = false;
    for (size_t state = 0; carried->now != NULL && carried->next != NULL && state < network->states.count; ++state) {
      is_state = is_state || outputs[i] == carried->now[state] || outputs[i] == carried->next[state];
    }
    if (outputs[i] != NULL && !is_state) network->api->ReleaseValue(outputs[i]);
    outputs[i] = NULL;
  }
}

static bool run_and_print(const Network* network, const Arguments* arguments, Images* images, int64_t samples,
                          int64_t first, Carried* carried, OrtValue** outputs, Error* error) {
  const bool frames = network->is_stream && network->states.settles;
  const size_t each = images->size / (size_t)images->dims[0];
  int64_t shape[NPY_MAX_RANK];
  memcpy(shape, images->dims, sizeof shape);
  shape[0] = samples;
  OrtValue* batch = NULL;
  bool good = network_wrap(network, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, images->data + (size_t)first * each,
                           (size_t)samples * each * sizeof(float), shape, images->rank, &batch, error);
  if (good && frames) {
    good = run_frame(network, batch, samples, carried, outputs, error);
  } else if (good && network->is_stream) {
    good = run_blocks(network, batch, &arguments->choice, carried, outputs, error);
  } else if (good) {
    good = run_whole(network, batch, &arguments->choice, outputs, error);
  }
  good = good && print_results(network, samples, frames ? "frame" : "sample", first, outputs, error);
  release_outputs(network, carried, outputs);
  if (batch != NULL) network->api->ReleaseValue(batch);
  return good;
}

static bool check_shape(const Network* network, const Images* images, Error* error) {
  bool fits = images->rank == network->rank;
  for (size_t axis = 1; fits && axis < images->rank; ++axis) {
    fits = network->dims[axis] < 0 || images->dims[axis] == network->dims[axis];
  }
  if (fits) return true;
  char wanted[256] = "N";
  for (size_t axis = 1; axis < network->rank; ++axis) {
    const size_t length = strlen(wanted);
    snprintf(wanted + length, sizeof wanted - length, ", %" PRId64, network->dims[axis]);
  }
  return fail(error, "the images have another shape than the network takes: must be [%s]", wanted);
}

static bool run_images(const Network* network, const Arguments* arguments, Images* images, Error* error) {
  Carried carried = {NULL, NULL};
  OrtValue** outputs = calloc(network->outputs.count, sizeof *outputs);
  const bool frames = network->is_stream && network->states.settles;
  const int64_t samples = frames ? 1 : images->dims[0];
  bool good = outputs != NULL || fail(error, "not enough memory");
  if (good && frames && arguments->choice.has_steps) good = fail(error, "frames run until the network is quiet: no --steps");
  if (good && network->is_stream) good = carried_make(network, samples, &carried, error);
  for (int64_t first = 0; good && first < images->dims[0]; first += samples) {
    good = run_and_print(network, arguments, images, samples, first, &carried, outputs, error);
  }
  carried_free(network, &carried);
  free(outputs);
  return good;
}

int main(int count, char** words) {
  Arguments arguments = {0};
  Network network = {0};
  Images images = {0};
  Error error = {{0}};
  const bool good = read_arguments(count, words, &arguments, &error) &&
                    images_read(arguments.images, &images, &error) &&
                    network_open(&network, arguments.network, arguments.library, &error) &&
                    check_shape(&network, &images, &error) && run_images(&network, &arguments, &images, &error);
  network_close(&network);
  images_free(&images);
  if (!good) {
    fprintf(stderr, "error: %s\n", error.text);
    return 1;
  }
  return fflush(stdout) == 0 ? 0 : 1;
}
