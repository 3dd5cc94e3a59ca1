/* The part of onnxruntime's C interface that the hosts use, under the names of its own header.
 *
 * The wheel of onnxruntime on PyPI has the shared library and no headers. Its function table is append-only by contract,
 * so a function is known for good by its place. Where the C package of onnxruntime is, its header takes the place of this
 * one (-DONNXRUNTIME_ROOT=DIR) and no line of the hosts changes. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#define SNNC_STATIC_ASSERT static_assert
#else
#define SNNC_STATIC_ASSERT _Static_assert
#endif

/* Asked of GetApi: the functions below are in every version from this one on (onnxruntime 1.17). */
#define ORT_API_VERSION 17

typedef struct OrtStatus OrtStatus;
typedef struct OrtEnv OrtEnv;
typedef struct OrtSession OrtSession;
typedef struct OrtSessionOptions OrtSessionOptions;
typedef struct OrtRunOptions OrtRunOptions;
typedef struct OrtAllocator OrtAllocator;
typedef struct OrtMemoryInfo OrtMemoryInfo;
typedef struct OrtModelMetadata OrtModelMetadata;
typedef struct OrtTypeInfo OrtTypeInfo;
typedef struct OrtTensorTypeAndShapeInfo OrtTensorTypeAndShapeInfo;
typedef struct OrtValue OrtValue;

typedef enum OrtLoggingLevel { ORT_LOGGING_LEVEL_FATAL = 4 } OrtLoggingLevel;
typedef enum OrtAllocatorType { OrtDeviceAllocator = 0 } OrtAllocatorType;
typedef enum OrtMemType { OrtMemTypeDefault = 0 } OrtMemType;
typedef enum ONNXTensorElementDataType {
  ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED = 0,
  ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT = 1,
  ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32 = 6,
  ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 = 7
} ONNXTensorElementDataType;

typedef void (*SnncUnused)(void); /* a function of the table that the hosts do not call */

typedef struct OrtApi {
  SnncUnused unused_0[2];
  const char* (*GetErrorMessage)(const OrtStatus*);
  OrtStatus* (*CreateEnv)(OrtLoggingLevel, const char* log_id, OrtEnv**);
  SnncUnused unused_4[3];
  OrtStatus* (*CreateSession)(const OrtEnv*, const char* path, const OrtSessionOptions*, OrtSession**);
  SnncUnused unused_8[1];
  OrtStatus* (*Run)(OrtSession*, const OrtRunOptions*, const char* const* input_names, const OrtValue* const* inputs,
                    size_t input_count, const char* const* output_names, size_t output_count, OrtValue** outputs);
  OrtStatus* (*CreateSessionOptions)(OrtSessionOptions**);
  SnncUnused unused_11[11];
  OrtStatus* (*SetSessionLogSeverityLevel)(OrtSessionOptions*, int level);
  SnncUnused unused_23[7];
  OrtStatus* (*SessionGetInputCount)(const OrtSession*, size_t*);
  OrtStatus* (*SessionGetOutputCount)(const OrtSession*, size_t*);
  OrtStatus* (*SessionGetOverridableInitializerCount)(const OrtSession*, size_t*);
  OrtStatus* (*SessionGetInputTypeInfo)(const OrtSession*, size_t index, OrtTypeInfo**);
  SnncUnused unused_34[2];
  OrtStatus* (*SessionGetInputName)(const OrtSession*, size_t index, OrtAllocator*, char**);
  OrtStatus* (*SessionGetOutputName)(const OrtSession*, size_t index, OrtAllocator*, char**);
  OrtStatus* (*SessionGetOverridableInitializerName)(const OrtSession*, size_t index, OrtAllocator*, char**);
  SnncUnused unused_39[9];
  OrtStatus* (*CreateTensorAsOrtValue)(OrtAllocator*, const int64_t* shape, size_t rank, ONNXTensorElementDataType,
                                       OrtValue**);
  OrtStatus* (*CreateTensorWithDataAsOrtValue)(const OrtMemoryInfo*, void* data, size_t bytes, const int64_t* shape,
                                               size_t rank, ONNXTensorElementDataType, OrtValue**);
  SnncUnused unused_50[1];
  OrtStatus* (*GetTensorMutableData)(OrtValue*, void**);
  SnncUnused unused_52[3];
  OrtStatus* (*CastTypeInfoToTensorInfo)(const OrtTypeInfo*, const OrtTensorTypeAndShapeInfo**);
  SnncUnused unused_56[4];
  OrtStatus* (*GetTensorElementType)(const OrtTensorTypeAndShapeInfo*, ONNXTensorElementDataType*);
  OrtStatus* (*GetDimensionsCount)(const OrtTensorTypeAndShapeInfo*, size_t*);
  OrtStatus* (*GetDimensions)(const OrtTensorTypeAndShapeInfo*, int64_t* dims, size_t count);
  SnncUnused unused_63[1];
  OrtStatus* (*GetTensorShapeElementCount)(const OrtTensorTypeAndShapeInfo*, size_t*);
  OrtStatus* (*GetTensorTypeAndShape)(const OrtValue*, OrtTensorTypeAndShapeInfo**);
  SnncUnused unused_66[3];
  OrtStatus* (*CreateCpuMemoryInfo)(OrtAllocatorType, OrtMemType, OrtMemoryInfo**);
  SnncUnused unused_70[6];
  OrtStatus* (*AllocatorFree)(OrtAllocator*, void*);
  SnncUnused unused_77[1];
  OrtStatus* (*GetAllocatorWithDefaultOptions)(OrtAllocator**);
  SnncUnused unused_79[13];
  void (*ReleaseEnv)(OrtEnv*);
  void (*ReleaseStatus)(OrtStatus*);
  void (*ReleaseMemoryInfo)(OrtMemoryInfo*);
  void (*ReleaseSession)(OrtSession*);
  void (*ReleaseValue)(OrtValue*);
  SnncUnused unused_97[1];
  void (*ReleaseTypeInfo)(OrtTypeInfo*);
  void (*ReleaseTensorTypeAndShapeInfo)(OrtTensorTypeAndShapeInfo*);
  void (*ReleaseSessionOptions)(OrtSessionOptions*);
  SnncUnused unused_101[10];
  OrtStatus* (*SessionGetModelMetadata)(const OrtSession*, OrtModelMetadata**);
  SnncUnused unused_112[4];
  OrtStatus* (*ModelMetadataLookupCustomMetadataMap)(const OrtModelMetadata*, OrtAllocator*, const char* key, char**);
  SnncUnused unused_117[1];
  void (*ReleaseModelMetadata)(OrtModelMetadata*);
  SnncUnused unused_119[109];
  OrtStatus* (*RegisterCustomOpsLibrary_V2)(OrtSessionOptions*, const char* path);
} OrtApi;

typedef struct OrtApiBase {
  const OrtApi* (*GetApi)(uint32_t version);
  const char* (*GetVersionString)(void);
} OrtApiBase;

const OrtApiBase* OrtGetApiBase(void);

/* The places in onnxruntime's own header. */
SNNC_STATIC_ASSERT(offsetof(OrtApi, CreateSession) == 7 * sizeof(void*), "place in the table");
SNNC_STATIC_ASSERT(offsetof(OrtApi, SessionGetInputCount) == 30 * sizeof(void*), "place in the table");
SNNC_STATIC_ASSERT(offsetof(OrtApi, CreateTensorAsOrtValue) == 48 * sizeof(void*), "place in the table");
SNNC_STATIC_ASSERT(offsetof(OrtApi, GetTensorTypeAndShape) == 65 * sizeof(void*), "place in the table");
SNNC_STATIC_ASSERT(offsetof(OrtApi, GetAllocatorWithDefaultOptions) == 78 * sizeof(void*), "place in the table");
SNNC_STATIC_ASSERT(offsetof(OrtApi, ReleaseSessionOptions) == 100 * sizeof(void*), "place in the table");
SNNC_STATIC_ASSERT(offsetof(OrtApi, ReleaseModelMetadata) == 118 * sizeof(void*), "place in the table");
SNNC_STATIC_ASSERT(offsetof(OrtApi, RegisterCustomOpsLibrary_V2) == 228 * sizeof(void*), "place in the table");

#ifdef __cplusplus
}
#endif
