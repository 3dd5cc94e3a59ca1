// How an operator becomes what onnxruntime calls: shape inference, and the table of functions of a custom operator.
//
// An operator is a plain struct, see ops/: its name and its input and output types as constants, a constructor that
// reads attributes and constant inputs, `compute`, and `infer_shapes`.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "ort_glue.hpp"

namespace snnc::ort {

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
    set_output(output, type, shape);
  }

  // Output `output` is as input `input`, axis `axis` `times` times as long.
  void output_repeated(
      std::size_t output, ElementType type, std::size_t input, std::size_t axis, std::int64_t times) {
    Shape shape = known_shape(input);
    if (shape.size() <= axis) return;
    shape[axis] *= times;
    set_output(output, type, shape);
  }

 private:
  void set_output(std::size_t output, ElementType type, const Shape& shape) {
    const OwnedShapeInfo info = make_shape_info(api_, type, shape);
    check(ShapeInferContext_SetOutputTypeShape(api_, context_, output, info.get()));
  }

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
