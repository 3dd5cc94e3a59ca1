/* A converted network in onnxruntime: opening it, what it is called with, running it once. */
#pragma once

#include <onnxruntime_c_api.h>

#include "error.h"
#include "states.h"

typedef struct Names {
  char** items;
  size_t count;
} Names;

typedef struct Network {
  const OrtApi* api;
  OrtEnv* env;
  OrtSession* session;
  OrtAllocator* allocator; /* onnxruntime's own, not to be released */
  OrtMemoryInfo* memory;
  Names inputs;   /* that must be fed; the first one takes the images */
  Names optional; /* that have defaults in the file */
  Names outputs;
  size_t rank; /* of the images, with the batch */
  int64_t dims[STATE_MAX_RANK + 1];
  bool is_stream; /* of the schedule stream */
  States states;
} Network;

/* What a run is fed: names and values side by side. The values stay the caller's. */
typedef struct Feeds {
  const char** names;
  const OrtValue** values;
  size_t count;
} Feeds;

/* `library` is the path of snnc's operators, or NULL: then the functions in the file are run. To be closed with
 * network_close, whatever it returns. */
bool network_open(Network* network, const char* path, const char* library, Error* error);

void network_close(Network* network);

/* True where `status` is none; else writes its message, and releases it. Every status of onnxruntime goes through here. */
bool network_check(const Network* network, OrtStatus* status, Error* error);

bool names_have(const Names* names, const char* name);

/* Room for every input of the network; false where memory is short. To be freed with feeds_free. */
bool feeds_make(const Network* network, Feeds* feeds, Error* error);

void feeds_add(Feeds* feeds, const char* name, const OrtValue* value);

void feeds_free(Feeds* feeds);

/* A tensor around memory of the caller, which must outlive it. */
bool network_wrap(const Network* network, ONNXTensorElementDataType type, void* data, size_t bytes, const int64_t* shape,
                  size_t rank, OrtValue** value, Error* error);

/* Fills `outputs`, one for each of `network->outputs`: where it is NULL onnxruntime makes a tensor, which the caller
 * releases, else the result is written into the one that is there. */
bool network_run(const Network* network, const Feeds* feeds, OrtValue** outputs, Error* error);
