#include "network.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef OrtStatus* (*CountOf)(const OrtSession*, size_t*);
typedef OrtStatus* (*NameOf)(const OrtSession*, size_t, OrtAllocator*, char**);

bool network_check(const Network* network, OrtStatus* status, Error* error) {
  if (status == NULL) return true;
  fail(error, "onnxruntime: %s", network->api->GetErrorMessage(status));
  network->api->ReleaseStatus(status);
  return false;
}

bool names_have(const Names* names, const char* name) {
  for (size_t i = 0; i < names->count; ++i) {
    if (strcmp(names->items[i], name) == 0) return true;
  }
  return false;
}

static bool read_names(Network* network, CountOf count_of, NameOf name_of, Names* names, Error* error) {
  size_t count = 0;
  if (!network_check(network, count_of(network->session, &count), error)) return false;
  names->items = calloc(count + 1, sizeof *names->items);
  if (names->items == NULL) return fail(error, "not enough memory");
  for (; names->count < count; ++names->count) {
    OrtStatus* status = name_of(network->session, names->count, network->allocator, &names->items[names->count]);
    if (!network_check(network, status, error)) return false;
  }
  return true;
}

static void release_text(const Network* network, char* text) {
  if (text == NULL) return;
  OrtStatus* status = network->api->AllocatorFree(network->allocator, text);
  if (status != NULL) network->api->ReleaseStatus(status);
}

static void free_names(const Network* network, Names* names) {
  for (size_t i = 0; i < names->count; ++i) release_text(network, names->items[i]);
  free(names->items);
}

/* The shape that images must have; what is free is -1. */
static bool read_shape(Network* network, Error* error) {
  const OrtApi* api = network->api;
  OrtTypeInfo* type = NULL;
  const OrtTensorTypeAndShapeInfo* info = NULL;
  if (!network_check(network, api->SessionGetInputTypeInfo(network->session, 0, &type), error)) return false;
  bool good = network_check(network, api->CastTypeInfoToTensorInfo(type, &info), error);
  good = good && (info != NULL || fail(error, "the first input of the file is no tensor"));
  good = good && network_check(network, api->GetDimensionsCount(info, &network->rank), error);
  good = good && ((network->rank >= 1 && network->rank <= STATE_MAX_RANK + 1) || fail(error, "images have too many axes"));
  good = good && network_check(network, api->GetDimensions(info, network->dims, network->rank), error);
  api->ReleaseTypeInfo(type);
  return good;
}

static bool read_metadata(Network* network, const char* path, Error* error) {
  const OrtApi* api = network->api;
  OrtModelMetadata* metadata = NULL;
  char *states = NULL, *options = NULL;
  if (!network_check(network, api->SessionGetModelMetadata(network->session, &metadata), error)) return false;
  bool good = network_check(
      network, api->ModelMetadataLookupCustomMetadataMap(metadata, network->allocator, "snnc.states", &states), error);
  good = good && network_check(network,
                               api->ModelMetadataLookupCustomMetadataMap(metadata, network->allocator, "snnc.options",
                                                                         &options),
                               error);
  if (good && (states == NULL || options == NULL)) good = fail(error, "%s: is no network converted by snnc", path);
  good = good && states_read(states, options, &network->states, error);
  release_text(network, states);
  release_text(network, options);
  api->ReleaseModelMetadata(metadata);
  return good;
}

static bool make_session(Network* network, const char* path, const char* library, Error* error) {
  const OrtApi* api = network->api;
  OrtSessionOptions* options = NULL;
  if (!network_check(network, api->CreateSessionOptions(&options), error)) return false;
  /* onnxruntime warns of optional inputs at every start; errors come as statuses, and need not be printed too */
  bool good = network_check(network, api->SetSessionLogSeverityLevel(options, ORT_LOGGING_LEVEL_FATAL), error);
  if (good && library != NULL) {
    good = network_check(network, api->RegisterCustomOpsLibrary_V2(options, library), error);
  }
  good = good && network_check(network, api->CreateSession(network->env, path, options, &network->session), error);
  api->ReleaseSessionOptions(options);
  return good;
}

bool network_open(Network* network, const char* path, const char* library, Error* error) {
  memset(network, 0, sizeof *network);
  const OrtApi* api = network->api = OrtGetApiBase()->GetApi(ORT_API_VERSION);
  if (api == NULL) return fail(error, "onnxruntime %s is too old for this host", OrtGetApiBase()->GetVersionString());
  if (!network_check(network, api->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "host", &network->env), error)) return false;
  if (!network_check(network, api->GetAllocatorWithDefaultOptions(&network->allocator), error)) return false;
  OrtStatus* status = api->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &network->memory);
  if (!network_check(network, status, error) || !make_session(network, path, library, error)) return false;
  if (!read_metadata(network, path, error)) return false;
  if (!read_names(network, api->SessionGetInputCount, api->SessionGetInputName, &network->inputs, error) ||
      !read_names(network, api->SessionGetOverridableInitializerCount, api->SessionGetOverridableInitializerName,
                  &network->optional, error) ||
      !read_names(network, api->SessionGetOutputCount, api->SessionGetOutputName, &network->outputs, error)) {
    return false;
  }
  network->is_stream = names_have(&network->inputs, "first_step");
  return read_shape(network, error);
}

void network_close(Network* network) {
  const OrtApi* api = network->api;
  if (api == NULL) return;
  free_names(network, &network->inputs);
  free_names(network, &network->optional);
  free_names(network, &network->outputs);
  states_free(&network->states);
  if (network->session != NULL) api->ReleaseSession(network->session);
  if (network->memory != NULL) api->ReleaseMemoryInfo(network->memory);
  if (network->env != NULL) api->ReleaseEnv(network->env);
}

bool feeds_make(const Network* network, Feeds* feeds, Error* error) {
  const size_t room = network->inputs.count + network->optional.count + 1;
  feeds->count = 0;
  feeds->names = calloc(room, sizeof *feeds->names);
  feeds->values = calloc(room, sizeof *feeds->values);
  return (feeds->names != NULL && feeds->values != NULL) || fail(error, "not enough memory");
}

void feeds_add(Feeds* feeds, const char* name, const OrtValue* value) {
  feeds->names[feeds->count] = name;
  feeds->values[feeds->count++] = value;
}

void feeds_free(Feeds* feeds) {
  free(feeds->names);
  free(feeds->values);
}

bool network_wrap(const Network* network, ONNXTensorElementDataType type, void* data, size_t bytes, const int64_t* shape,
                  size_t rank, OrtValue** value, Error* error) {
  OrtStatus* status =
      network->api->CreateTensorWithDataAsOrtValue(network->memory, data, bytes, shape, rank, type, value);
  return network_check(network, status, error);
}

bool network_run(const Network* network, const Feeds* feeds, OrtValue** outputs, Error* error) {
  OrtStatus* status =
      network->api->Run(network->session, NULL, feeds->names, feeds->values, feeds->count,
                        (const char* const*)network->outputs.items, network->outputs.count, outputs);
  return network_check(network, status, error);
}
