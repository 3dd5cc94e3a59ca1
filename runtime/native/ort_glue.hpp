// What an operator sees of onnxruntime: attributes, tensors, shapes, threads and errors.
//
// Operators report wrong inputs by throwing InvalidInput; nothing ever leaves this library as a C++ exception.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <iterator>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "ort_abi.hpp"

namespace snnc::ort {

using Shape = std::vector<std::int64_t>;

inline std::int64_t size_of(const Shape& shape) {
  std::int64_t size = 1;
  for (const std::int64_t dim : shape) size *= dim;
  return size;
}

inline std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

// An input or attribute that breaks the operator's contract. The operator's name is added when it is reported.
struct InvalidInput : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

// A status that onnxruntime gave us, on its way back to onnxruntime.
struct FailedStatus {
  OrtStatus* status;
};

inline void check(OrtStatus* status) {
  if (status != nullptr) throw FailedStatus{status};
}

inline OrtStatus* make_status(const OrtApi* api, ErrorCode code, const char* context, const char* problem) {
  char message[1024];  // no allocation: memory may be what is missing
  std::snprintf(message, sizeof message, "%s: %s", context, problem);
  return CreateStatus(api, static_cast<int>(code), message);
}

// Runs `body` and turns whatever it throws into a status.
template <class Body>
OrtStatus* as_status(const OrtApi* api, const char* context, Body&& body) {
  try {
    body();
    return nullptr;
  } catch (const FailedStatus& failed) {
    return failed.status;
  } catch (const InvalidInput& error) {
    return make_status(api, ErrorCode::invalid_argument, context, error.what());
  } catch (const std::exception& error) {
    return make_status(api, ErrorCode::fail, context, error.what());
  } catch (...) {
    return make_status(api, ErrorCode::fail, context, "unknown error");
  }
}

struct ShapeInfoDeleter {
  const OrtApi* api;
  void operator()(ShapeInfo* info) const { ReleaseTensorTypeAndShapeInfo(api, info); }
};
using OwnedShapeInfo = std::unique_ptr<ShapeInfo, ShapeInfoDeleter>;

inline OwnedShapeInfo make_shape_info(const OrtApi* api, ElementType type, const Shape& shape) {
  ShapeInfo* raw = nullptr;
  check(CreateTensorTypeAndShapeInfo(api, &raw));
  OwnedShapeInfo info(raw, {api});
  check(SetTensorElementType(api, raw, static_cast<int>(type)));
  check(SetDimensions(api, raw, shape.data(), shape.size()));
  return info;
}

inline ElementType read_type(const OrtApi* api, const ShapeInfo* info) {
  int type = 0;
  check(GetTensorElementType(api, info, &type));
  return static_cast<ElementType>(type);
}

// Unknown dimensions are -1.
inline Shape read_shape(const OrtApi* api, const ShapeInfo* info) {
  std::size_t rank = 0;
  check(GetDimensionsCount(api, info, &rank));
  Shape shape(rank);
  check(GetDimensions(api, info, shape.data(), rank));
  return shape;
}

template <class T>
constexpr ElementType element_type = ElementType::undefined;
template <>
inline constexpr ElementType element_type<float> = ElementType::float32;
template <>
inline constexpr ElementType element_type<std::int32_t> = ElementType::int32;
template <>
inline constexpr ElementType element_type<std::int64_t> = ElementType::int64;
template <>
inline constexpr ElementType element_type<std::uint64_t> = ElementType::uint64;

template <class T>
struct Input {
  const T* data;
  Shape shape;
  std::int64_t size() const { return size_of(shape); }
};

// The tensor behind a value; throws if its elements are not of type T.
template <class T>
Input<T> read_tensor(const OrtApi* api, const OrtValue* value, std::size_t index) {
  ShapeInfo* raw = nullptr;
  check(GetTensorTypeAndShape(api, value, &raw));
  const OwnedShapeInfo info(raw, {api});
  const ElementType type = read_type(api, raw);
  if (type != element_type<T>) {
    throw InvalidInput("input " + std::to_string(index) + " has ONNX element type " +
                       std::to_string(static_cast<int>(type)) + ", must be " +
                       std::to_string(static_cast<int>(element_type<T>)));
  }
  void* data = nullptr;
  check(GetTensorMutableData(api, const_cast<OrtValue*>(value), &data));  // the only accessor there is
  return {static_cast<const T*>(data), read_shape(api, raw)};
}

// What is known of a node when its kernel is created: attributes and constant inputs.
class NodeInfo {
 public:
  NodeInfo(const OrtApi* api, const OrtKernelInfo* info) : api_(api), info_(info) {}

  float get_float(const char* name) const {
    float value = 0;
    require(KernelInfoGetAttribute_float(api_, info_, name, &value), name, "float");
    return value;
  }

  std::int64_t get_int(const char* name) const {
    std::int64_t value = 0;
    require(KernelInfoGetAttribute_int64(api_, info_, name, &value), name, "int");
    return value;
  }

  // `otherwise` where there is no such attribute.
  std::int64_t get_int(const char* name, std::int64_t otherwise) const {
    if (has_int(name)) return get_int(name);
    float number = 0;
    OrtStatus* status = KernelInfoGetAttribute_float(api_, info_, name, &number);
    if (status == nullptr) throw InvalidInput(std::string("attribute ") + name + " is a float, must be an int");
    ReleaseStatus(api_, status);
    return otherwise;
  }

  bool has_int(const char* name) const {
    std::int64_t value = 0;
    OrtStatus* status = KernelInfoGetAttribute_int64(api_, info_, name, &value);
    if (status == nullptr) return true;
    ReleaseStatus(api_, status);
    return false;
  }

  std::vector<std::int64_t> get_ints(const char* name) const {
    std::size_t size = 0;
    require(KernelInfoGetAttributeArray_int64(api_, info_, name, nullptr, &size), name, "ints");
    std::vector<std::int64_t> values(size);
    require(KernelInfoGetAttributeArray_int64(api_, info_, name, values.data(), &size), name, "ints");
    return values;
  }

  std::string node_name() const {
    std::size_t size = 0;
    check(KernelInfo_GetNodeName(api_, info_, nullptr, &size));
    std::string name(size, '\0');
    check(KernelInfo_GetNodeName(api_, info_, name.data(), &size));
    name.resize(name.find_last_not_of('\0') + 1);
    return name;
  }

  bool has_input(std::size_t index) const {
    std::size_t inputs = 0;
    check(KernelInfo_GetInputCount(api_, info_, &inputs));
    return index < inputs;
  }

  // An input whose value is in the model. It may be freed when the kernel exists: copy what is needed later.
  template <class T>
  Input<T> constant_input(std::size_t index, const char* name) const {
    int is_constant = 0;
    const OrtValue* value = nullptr;
    check(KernelInfoGetConstantInput_tensor(api_, info_, index, &is_constant, &value));
    if (is_constant == 0 || value == nullptr) {
      throw InvalidInput(std::string(name) + " must be an initializer of the graph that the operator is in");
    }
    return read_tensor<T>(api_, value, index);
  }

 private:
  void require(OrtStatus* status, const char* name, const char* type) const {
    if (status == nullptr) return;
    ReleaseStatus(api_, status);
    throw InvalidInput(std::string("attribute ") + name + " (" + type + ") is missing");
  }

  const OrtApi* api_;
  const OrtKernelInfo* info_;
};

// One run of a kernel.
class Context {
 public:
  Context(const OrtApi* api, OrtKernelContext* context) : api_(api), context_(context) {}

  template <class T>
  Input<T> input(std::size_t index) const {
    const OrtValue* value = nullptr;
    check(KernelContext_GetInput(api_, context_, index, &value));
    if (value == nullptr) throw InvalidInput("input " + std::to_string(index) + " is missing");
    return read_tensor<T>(api_, value, index);
  }

  // An int64 input of shape [].
  std::int64_t scalar(std::size_t index, const char* name) const {
    const auto value = input<std::int64_t>(index);
    if (!value.shape.empty()) {
      throw InvalidInput(std::string(name) + " has shape " + to_string(value.shape) + ", must be a scalar []");
    }
    return value.data[0];
  }

  template <class T>
  T* output(std::size_t index, const Shape& shape) {
    OrtValue* value = nullptr;
    check(KernelContext_GetOutput(api_, context_, index, shape.data(), shape.size(), &value));
    if (value == nullptr) throw std::runtime_error("output " + std::to_string(index) + " was not allocated");
    void* data = nullptr;
    check(GetTensorMutableData(api_, value, &data));
    return static_cast<T*>(data);
  }

  // Calls body(item) for every item, on the session's own threads. Items must not depend on each other. They are handed
  // out in chunks that are worth a thread's while. What `body` throws is thrown again when all are done.
  template <class Body>
  void parallel_for(std::int64_t items, double nanoseconds_per_item, const Body& body) const {
    constexpr double chunk_nanoseconds = 20'000;
    const auto chunk = static_cast<std::int64_t>(chunk_nanoseconds / std::max(nanoseconds_per_item, 1.0)) + 1;
    Chunks<Body> chunks{body, items, chunk, {}, nullptr};
    const std::int64_t tasks = (items + chunk - 1) / chunk;
    if (tasks <= 1) {
      if (tasks == 1) chunks.run(0);
    } else {
      const auto run = [](void* user_data, std::size_t index) {
        static_cast<Chunks<Body>*>(user_data)->run(static_cast<std::int64_t>(index));
      };
      check(KernelContext_ParallelFor(api_, context_, run, static_cast<std::size_t>(tasks), 0, &chunks));
    }
    if (chunks.error != nullptr) std::rethrow_exception(chunks.error);
  }

 private:
  template <class Body>
  struct Chunks {
    const Body& body;
    std::int64_t items;
    std::int64_t chunk;
    std::mutex mutex;
    std::exception_ptr error;

    void run(std::int64_t index) noexcept {
      try {
        const std::int64_t end = std::min(items, (index + 1) * chunk);
        for (std::int64_t item = index * chunk; item < end; ++item) body(item);
      } catch (...) {
        const std::lock_guard<std::mutex> lock(mutex);
        error = std::current_exception();
      }
    }
  };

  const OrtApi* api_;
  OrtKernelContext* context_;
};

}  // namespace snnc::ort
