// What an operator sees of onnxruntime: attributes, tensors, shapes, threads and errors.
//
// An operator is a plain struct, see ops/: its name and its input and output types as constants, a constructor that
// reads the attributes, `compute`, and `infer_shapes`. `CustomOp` turns it into what onnxruntime calls. Operators
// report wrong inputs by throwing InvalidInput; nothing ever leaves this library as a C++ exception.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
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

  // Whether an optional input is there.
  bool has_input(std::size_t index) const {
    std::size_t inputs = 0;
    check(KernelContext_GetInputCount(api_, context_, &inputs));
    if (index >= inputs) return false;
    const OrtValue* value = nullptr;
    check(KernelContext_GetInput(api_, context_, index, &value));
    return value != nullptr;
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

  // How many threads the session has, up to `most`, found out by trying: onnxruntime does not tell a kernel. Every task
  // waits until all have come or the time is over; a thread that waits cannot take a second one. May be too few on a busy
  // machine.
  int count_threads(int most) const {
    struct Roll {
      std::chrono::steady_clock::time_point end;
      int most;
      std::atomic<int> present{0};
    } roll{std::chrono::steady_clock::now() + std::chrono::microseconds(300), most};
    const auto wait = [](void* user_data, std::size_t) {
      Roll& roll = *static_cast<Roll*>(user_data);
      if (std::chrono::steady_clock::now() >= roll.end) return;
      ++roll.present;
      while (roll.present < roll.most && std::chrono::steady_clock::now() < roll.end) {
      }
    };
    check(KernelContext_ParallelFor(api_, context_, wait, static_cast<std::size_t>(most), 0, &roll));
    return std::max(roll.present.load(), 1);
  }

  // Calls body(item) for every item, on the session's own threads. Items must not depend on each other. Items are handed
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

// Shape inference when a session is created. Outputs whose shape is not fully known are left unset: onnxruntime takes
// a dimension of -1 for a fact and gives up reusing the buffer.
class ShapeContext {
 public:
  ShapeContext(const OrtApi* api, OrtShapeInferContext* context) : api_(api), context_(context) {}

  // Output `output` has the leading `axes` axes of input `input` (all of them by default).
  void output_like(std::size_t output, ElementType type, std::size_t input, std::size_t axes = SIZE_MAX) {
    Shape shape = known_shape(input);
    if (shape.empty()) return;
    shape.resize(std::min(axes, shape.size()));
    const OwnedShapeInfo info = make_shape_info(api_, type, shape);
    check(ShapeInferContext_SetOutputTypeShape(api_, context_, output, info.get()));
  }

 private:
  // Empty if some dimension is unknown. An unknown rank looks like a scalar; no operator here copies a scalar's shape.
  Shape known_shape(std::size_t input) const {
    ShapeInfo* info = nullptr;  // belongs to the context
    check(ShapeInferContext_GetInputTypeShape(api_, context_, input, &info));
    Shape shape = read_shape(api_, info);
    if (std::any_of(shape.begin(), shape.end(), [](std::int64_t dim) { return dim < 0; })) return {};
    return shape;
  }

  const OrtApi* api_;
  OrtShapeInferContext* context_;
};

// How many of an operator's inputs, from the last, may be omitted: `Op::optional_inputs`, if it is there.
template <class Op>
constexpr auto optional_inputs(int) -> decltype(Op::optional_inputs) {
  return Op::optional_inputs;
}
template <class Op>
constexpr std::size_t optional_inputs(long) {
  return 0;
}

// The table of functions through which onnxruntime uses operator `Op`.
template <class Op>
struct CustomOp : OrtCustomOp {
  const OrtApi* function_table;

  explicit CustomOp(const OrtApi* table) : OrtCustomOp{}, function_table(table) {
    version = api_version;
    GetName = [](const OrtCustomOp*) { return Op::name; };
    GetExecutionProviderType = [](const OrtCustomOp*) { return "CPUExecutionProvider"; };
    GetInputTypeCount = [](const OrtCustomOp*) { return std::size(Op::inputs); };
    GetInputType = [](const OrtCustomOp*, std::size_t index) { return static_cast<int>(Op::inputs[index]); };
    GetOutputTypeCount = [](const OrtCustomOp*) { return std::size(Op::outputs); };
    GetOutputType = [](const OrtCustomOp*, std::size_t index) { return static_cast<int>(Op::outputs[index]); };
    GetInputCharacteristic = [](const OrtCustomOp*, std::size_t index) {
      const bool optional = index >= std::size(Op::inputs) - optional_inputs<Op>(0);
      return static_cast<int>(optional ? Presence::optional : Presence::required);
    };
    GetOutputCharacteristic = [](const OrtCustomOp*, std::size_t) { return static_cast<int>(Presence::required); };
    GetInputMemoryType = [](const OrtCustomOp*, std::size_t) { return memory_default; };
    GetVariadicInputMinArity = [](const OrtCustomOp*) { return 1; };
    GetVariadicInputHomogeneity = [](const OrtCustomOp*) { return 1; };
    GetVariadicOutputMinArity = [](const OrtCustomOp*) { return 1; };
    GetVariadicOutputHomogeneity = [](const OrtCustomOp*) { return 1; };
    GetStartVersion = [](const OrtCustomOp*) { return Op::version; };
    GetEndVersion = [](const OrtCustomOp*) { return Op::version; };
    CreateKernelV2 = [](const OrtCustomOp*, const OrtApi* api, const OrtKernelInfo* info, void** kernel) {
      return as_status(api, Op::name, [&] { *kernel = new Kernel{api, Op(NodeInfo(api, info))}; });
    };
    KernelDestroy = [](void* kernel) { delete static_cast<Kernel*>(kernel); };
    KernelComputeV2 = [](void* kernel, OrtKernelContext* raw) {
      const auto& self = *static_cast<const Kernel*>(kernel);
      return as_status(self.api, Op::name, [&] {
        Context context(self.api, raw);
        self.op.compute(context);
      });
    };
    InferOutputShapeFn = [](const OrtCustomOp* op, OrtShapeInferContext* raw) {
      const OrtApi* api = static_cast<const CustomOp*>(op)->function_table;
      return as_status(api, Op::name, [&] {
        ShapeContext shapes(api, raw);
        Op::infer_shapes(shapes);
      });
    };
  }

 private:
  struct Kernel {
    const OrtApi* api;
    Op op;
  };
};

}  // namespace snnc::ort
