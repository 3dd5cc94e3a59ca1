// The connections of a convolution, lowered to lines and columns.
//
// A plane of 1 to 3 axes is seen as lines (all axes but the last, flattened) of columns (the last axis). Input columns
// are ordered by their residue modulo the dilation: then the field of an output column is one contiguous range of
// places in that order, whatever stride and dilation are.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace snnc::kernels {

struct Axis {
  std::int64_t in, out, kernel, stride, pad, dilation;
};

// Input places [first, last) lie under the kernel; kernel column 0 is `shift` steps of the dilation from column 0.
struct ColumnField {
  std::int32_t first, last, shift;
};

class Geometry {
 public:
  explicit Geometry(const std::vector<Axis>& axes) : column_axis(axes.back()) {
    const std::vector<Axis> line_axes(axes.begin(), axes.end() - 1);
    for (const Axis& axis : line_axes) {
      lines_in *= axis.in;
      lines_out *= axis.out;
      line_taps *= axis.kernel;
    }
    connect_lines(line_axes);
    order_columns();
  }

  std::int64_t columns_in() const { return column_axis.in; }
  std::int64_t columns_out() const { return column_axis.out; }
  std::int64_t plane_in() const { return lines_in * column_axis.in; }
  std::int64_t plane_out() const { return lines_out * column_axis.out; }

  // The input line under kernel line `tap` of an output line; -1 outside the plane.
  std::int64_t input_line(std::int64_t line, std::int64_t tap) const {
    return input_lines_[static_cast<std::size_t>(line * line_taps + tap)];
  }

  // [lines_out, line_taps], as `input_line` gives them.
  const std::int64_t* input_lines() const { return input_lines_.data(); }

  Axis column_axis;
  std::int64_t lines_in = 1, lines_out = 1, line_taps = 1;
  std::vector<std::int32_t> column_order;  // [columns_in]: the column at each place
  std::vector<std::int32_t> column_steps;  // [columns_in]: that column in steps of the dilation
  std::vector<ColumnField> fields;         // [columns_out]

 private:
  // Counts through all output lines and taps; `digits` are the positions along the axes, first axis first.
  void connect_lines(const std::vector<Axis>& axes) {
    input_lines_.resize(static_cast<std::size_t>(lines_out * line_taps));
    for (std::int64_t line = 0; line < lines_out; ++line) {
      for (std::int64_t tap = 0; tap < line_taps; ++tap) {
        std::int64_t rest_of_line = line, rest_of_tap = tap, input = 0, scale = 1;
        for (std::size_t i = axes.size(); i-- > 0;) {
          const Axis& axis = axes[i];
          const std::int64_t position =
              rest_of_line % axis.out * axis.stride - axis.pad + rest_of_tap % axis.kernel * axis.dilation;
          const bool outside = position < 0 || position >= axis.in;
          input = outside || input < 0 ? -1 : input + position * scale;
          rest_of_line /= axis.out;
          rest_of_tap /= axis.kernel;
          scale *= axis.in;
        }
        input_lines_[static_cast<std::size_t>(line * line_taps + tap)] = input;
      }
    }
  }

  void order_columns() {
    const Axis& axis = column_axis;
    const std::int64_t classes = std::min(axis.dilation, axis.in);
    std::vector<std::int64_t> first_of_class;
    for (std::int64_t residue = 0; residue < classes; ++residue) {
      first_of_class.push_back(static_cast<std::int64_t>(column_order.size()));
      for (std::int64_t column = residue; column < axis.in; column += axis.dilation) {
        column_order.push_back(static_cast<std::int32_t>(column));
        column_steps.push_back(static_cast<std::int32_t>(column / axis.dilation));
      }
    }
    first_of_class.push_back(axis.in);
    for (std::int64_t column = 0; column < axis.out; ++column) {
      const std::int64_t start = column * axis.stride - axis.pad;
      const std::int64_t residue = (start % axis.dilation + axis.dilation) % axis.dilation;
      const std::int64_t shift = (start - residue) / axis.dilation;
      ColumnField field{0, 0, static_cast<std::int32_t>(shift)};
      if (residue < classes) {
        const std::int64_t first = first_of_class[static_cast<std::size_t>(residue)];
        const std::int64_t size = first_of_class[static_cast<std::size_t>(residue + 1)] - first;
        field.first = static_cast<std::int32_t>(first + std::clamp<std::int64_t>(shift, 0, size));
        field.last = static_cast<std::int32_t>(first + std::clamp<std::int64_t>(shift + axis.kernel, 0, size));
      }
      fields.push_back(field);
    }
  }

  std::vector<std::int64_t> input_lines_;
};

}  // namespace snnc::kernels
