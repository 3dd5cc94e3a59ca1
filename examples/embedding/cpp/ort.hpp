// onnxruntime's C interface with owners and exceptions. (Its own C++ header is in its C package only.)
#pragma once

#include <onnxruntime_c_api.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace ort {

inline const OrtApi& api() {
  static const OrtApi* const table = OrtGetApiBase()->GetApi(ORT_API_VERSION);
  if (table == nullptr) {
    throw std::runtime_error(std::string("onnxruntime ") + OrtGetApiBase()->GetVersionString() + " is too old for this host");
  }
  return *table;
}

// Throws what onnxruntime says. Every status of onnxruntime goes through here.
inline void check(OrtStatus* status) {
  if (status == nullptr) return;
  const std::string message = std::string("onnxruntime: ") + api().GetErrorMessage(status);
  api().ReleaseStatus(status);
  throw std::runtime_error(message);
}

template <auto release>
struct Releaser {
  template <class Object>
  void operator()(Object* object) const {
    (api().*release)(object);
  }
};

using Env = std::unique_ptr<OrtEnv, Releaser<&OrtApi::ReleaseEnv>>;
using SessionOptions = std::unique_ptr<OrtSessionOptions, Releaser<&OrtApi::ReleaseSessionOptions>>;
using Session = std::unique_ptr<OrtSession, Releaser<&OrtApi::ReleaseSession>>;
using MemoryInfo = std::unique_ptr<OrtMemoryInfo, Releaser<&OrtApi::ReleaseMemoryInfo>>;
using Metadata = std::unique_ptr<OrtModelMetadata, Releaser<&OrtApi::ReleaseModelMetadata>>;
using TypeInfo = std::unique_ptr<OrtTypeInfo, Releaser<&OrtApi::ReleaseTypeInfo>>;
using ShapeInfo = std::unique_ptr<OrtTensorTypeAndShapeInfo, Releaser<&OrtApi::ReleaseTensorTypeAndShapeInfo>>;
using Value = std::unique_ptr<OrtValue, Releaser<&OrtApi::ReleaseValue>>;

// `make<Session>(api().CreateSession, env, ...)`: the object that a function gives through its last argument.
template <class Owner, class Function, class... Arguments>
Owner make(Function function, Arguments... arguments) {
  typename Owner::pointer object = nullptr;
  check(function(arguments..., &object));
  return Owner(object);
}

inline OrtAllocator* allocator() {
  OrtAllocator* found = nullptr;
  check(api().GetAllocatorWithDefaultOptions(&found));  // onnxruntime's own, not to be released
  return found;
}

// A text that onnxruntime allocated, which is released; empty where there is none.
inline std::string take_text(char* text) {
  if (text == nullptr) return {};
  const std::string copy = text;
  check(api().AllocatorFree(allocator(), text));
  return copy;
}

template <class T>
constexpr ONNXTensorElementDataType element_type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
template <>
inline constexpr ONNXTensorElementDataType element_type<float> = ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
template <>
inline constexpr ONNXTensorElementDataType element_type<std::int64_t> = ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;

// A tensor around memory of the caller, which must outlive it.
template <class T>
Value wrap(T* data, std::size_t size, const std::vector<std::int64_t>& shape) {
  const auto memory = make<MemoryInfo>(api().CreateCpuMemoryInfo, OrtDeviceAllocator, OrtMemTypeDefault);
  return make<Value>(
      api().CreateTensorWithDataAsOrtValue, memory.get(), data, size * sizeof(T), shape.data(), shape.size(),
      element_type<T>);
}

template <class T>
T* data_of(OrtValue* value) {
  void* data = nullptr;
  check(api().GetTensorMutableData(value, &data));
  return static_cast<T*>(data);
}

}  // namespace ort
