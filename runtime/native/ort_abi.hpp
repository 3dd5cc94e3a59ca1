// The part of onnxruntime's C ABI that a CPU custom-op library needs, declared by hand.
//
// No package on PyPI carries onnxruntime's C headers. Its function table is append-only by contract, so a function is
// known for good by its slot number. Everything here exists since API version 17 (onnxruntime 1.17).
#pragma once

#include <cstddef>
#include <cstdint>

#define SNNC_EXPORT extern "C" __attribute__((visibility("default")))

extern "C" {
struct OrtApi;  // the function table
struct OrtStatus;
struct OrtSessionOptions;
struct OrtCustomOpDomain;
struct OrtKernelInfo;
struct OrtKernelContext;
struct OrtShapeInferContext;
struct OrtValue;
struct OrtTensorTypeAndShapeInfo;

struct OrtApiBase {
  const OrtApi* (*GetApi)(std::uint32_t version);
  const char* (*GetVersionString)();
};

// onnxruntime extends this structure at its end only; `version` says how much of it is there.
struct OrtCustomOp {
  std::uint32_t version;
  void* (*CreateKernel)(const OrtCustomOp*, const OrtApi*, const OrtKernelInfo*);  // superseded by CreateKernelV2
  const char* (*GetName)(const OrtCustomOp*);
  const char* (*GetExecutionProviderType)(const OrtCustomOp*);
  int (*GetInputType)(const OrtCustomOp*, std::size_t index);
  std::size_t (*GetInputTypeCount)(const OrtCustomOp*);
  int (*GetOutputType)(const OrtCustomOp*, std::size_t index);
  std::size_t (*GetOutputTypeCount)(const OrtCustomOp*);
  void (*KernelCompute)(void* kernel, OrtKernelContext*);  // superseded by KernelComputeV2
  void (*KernelDestroy)(void* kernel);
  int (*GetInputCharacteristic)(const OrtCustomOp*, std::size_t index);
  int (*GetOutputCharacteristic)(const OrtCustomOp*, std::size_t index);
  int (*GetInputMemoryType)(const OrtCustomOp*, std::size_t index);
  int (*GetVariadicInputMinArity)(const OrtCustomOp*);
  int (*GetVariadicInputHomogeneity)(const OrtCustomOp*);
  int (*GetVariadicOutputMinArity)(const OrtCustomOp*);
  int (*GetVariadicOutputHomogeneity)(const OrtCustomOp*);
  OrtStatus* (*CreateKernelV2)(const OrtCustomOp*, const OrtApi*, const OrtKernelInfo*, void** kernel);
  OrtStatus* (*KernelComputeV2)(void* kernel, OrtKernelContext*);
  OrtStatus* (*InferOutputShapeFn)(const OrtCustomOp*, OrtShapeInferContext*);
  int (*GetStartVersion)(const OrtCustomOp*);
  int (*GetEndVersion)(const OrtCustomOp*);
};
}

// Places in the structure, in pointers, as in onnxruntime's own header.
static_assert(offsetof(OrtCustomOp, CreateKernelV2) == 17 * sizeof(void*));
static_assert(offsetof(OrtCustomOp, GetEndVersion) == 21 * sizeof(void*));

namespace snnc::ort {

constexpr std::uint32_t api_version = 17;

// ONNXTensorElementDataType
enum class ElementType : int { undefined = 0, float32 = 1, int32 = 6, int64 = 7, uint64 = 13 };

// OrtCustomOpInputOutputCharacteristic
enum class Presence : int { required = 0, optional = 1, variadic = 2 };

// OrtMemType
constexpr int memory_default = 0;

// OrtErrorCode
enum class ErrorCode : int { ok = 0, fail = 1, invalid_argument = 2 };

// One function of the table: its slot number and its C signature. Called with the table as first argument.
template <int slot, class Signature>
struct Function;

template <int slot, class Result, class... Args>
struct Function<slot, Result(Args...)> {
  Result operator()(const OrtApi* api, Args... args) const {
    const auto* table = reinterpret_cast<void* const*>(api);
    return reinterpret_cast<Result (*)(Args...)>(table[slot])(args...);
  }
};

using ShapeInfo = OrtTensorTypeAndShapeInfo;
using ParallelTask = void (*)(void* user_data, std::size_t index);

inline constexpr Function<0, OrtStatus*(int code, const char* message)> CreateStatus{};
inline constexpr Function<1, int(const OrtStatus*)> GetErrorCode{};
inline constexpr Function<2, const char*(const OrtStatus*)> GetErrorMessage{};
inline constexpr Function<26, OrtStatus*(const char* name, OrtCustomOpDomain**)> CreateCustomOpDomain{};
inline constexpr Function<27, OrtStatus*(OrtCustomOpDomain*, const OrtCustomOp*)> CustomOpDomain_Add{};
inline constexpr Function<28, OrtStatus*(OrtSessionOptions*, OrtCustomOpDomain*)> AddCustomOpDomain{};
inline constexpr Function<51, OrtStatus*(OrtValue*, void**)> GetTensorMutableData{};
inline constexpr Function<57, OrtStatus*(ShapeInfo**)> CreateTensorTypeAndShapeInfo{};
inline constexpr Function<58, OrtStatus*(ShapeInfo*, int element_type)> SetTensorElementType{};
inline constexpr Function<59, OrtStatus*(ShapeInfo*, const std::int64_t*, std::size_t)> SetDimensions{};
inline constexpr Function<60, OrtStatus*(const ShapeInfo*, int* element_type)> GetTensorElementType{};
inline constexpr Function<61, OrtStatus*(const ShapeInfo*, std::size_t*)> GetDimensionsCount{};
inline constexpr Function<62, OrtStatus*(const ShapeInfo*, std::int64_t*, std::size_t)> GetDimensions{};
inline constexpr Function<65, OrtStatus*(const OrtValue*, ShapeInfo**)> GetTensorTypeAndShape{};
inline constexpr Function<85, OrtStatus*(const OrtKernelInfo*, const char* name, float*)>
    KernelInfoGetAttribute_float{};
inline constexpr Function<86, OrtStatus*(const OrtKernelInfo*, const char* name, std::int64_t*)>
    KernelInfoGetAttribute_int64{};
inline constexpr Function<90, OrtStatus*(const OrtKernelContext*, std::size_t, const OrtValue**)>
    KernelContext_GetInput{};
inline constexpr Function<91, OrtStatus*(OrtKernelContext*, std::size_t, const std::int64_t*, std::size_t, OrtValue**)>
    KernelContext_GetOutput{};
inline constexpr Function<93, void(OrtStatus*)> ReleaseStatus{};
inline constexpr Function<99, void(ShapeInfo*)> ReleaseTensorTypeAndShapeInfo{};
inline constexpr Function<101, void(OrtCustomOpDomain*)> ReleaseCustomOpDomain{};
inline constexpr Function<163, OrtStatus*(const OrtKernelInfo*, const char* name, std::int64_t*, std::size_t* size)>
    KernelInfoGetAttributeArray_int64{};
inline constexpr Function<230, OrtStatus*(const OrtKernelInfo*, std::size_t*)> KernelInfo_GetInputCount{};
inline constexpr Function<244, OrtStatus*(const OrtKernelInfo*, char* name, std::size_t* size)>
    KernelInfo_GetNodeName{};
inline constexpr Function<249, OrtStatus*(const OrtKernelInfo*, std::size_t, int* is_constant, const OrtValue**)>
    KernelInfoGetConstantInput_tensor{};
inline constexpr Function<268, OrtStatus*(const OrtShapeInferContext*, std::size_t, ShapeInfo**)>
    ShapeInferContext_GetInputTypeShape{};
inline constexpr Function<270, OrtStatus*(const OrtShapeInferContext*, std::size_t, const ShapeInfo*)>
    ShapeInferContext_SetOutputTypeShape{};
inline constexpr Function<274, OrtStatus*(const OrtKernelContext*, ParallelTask, std::size_t total, std::size_t batches,
                                          void* user_data)>
    KernelContext_ParallelFor{};

}  // namespace snnc::ort
