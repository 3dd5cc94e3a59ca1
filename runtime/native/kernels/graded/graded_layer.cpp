#include "graded_layer.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "../layers/vector_kernels.hpp"

namespace snnc::kernels {

namespace {

constexpr int widest = 64;
// What kernels read and write beyond the last entry of a list.
constexpr std::size_t entries_more = 16;
// Weights that the second-level cache does not keep from frame to frame: the next tile is fetched in time.
constexpr std::int64_t many_weight_bytes = 384 * 1024;

int width_for(std::int64_t channels) { return channels <= 16 ? 16 : channels <= 32 ? 32 : widest; }

int bytes_of(const std::vector<GradedWeights>& parts) {
  float largest = 0;
  for (const GradedWeights& part : parts) {
    const std::int64_t size = part.own ? 0 : part.outputs * part.inputs * part.taps;
    for (std::int64_t i = 0; i < size; ++i) largest = std::max(largest, std::fabs(part.weights[i]));
  }
  if (largest <= std::numeric_limits<std::int8_t>::max()) return 1;
  return largest <= std::numeric_limits<std::int16_t>::max() ? 2 : 4;
}

// Which channel of a tile an element of a row is: see rows.hpp.
std::int64_t channel_at(std::int64_t element, RowGroup group) {
  const std::int64_t rows = static_cast<int>(group), lanes = vector_kernels().row_lanes, block = rows * lanes;
  const std::int64_t within = element % block;
  return element / block * block + within % (4 * rows) / 4 * lanes + within / (4 * rows) * 4 + within % 4;
}

void write_weight(std::uint8_t* rows, std::int64_t at, std::int32_t weight, int bytes, RowGroup group) {
  if (bytes == 1) {
    rows[at] = static_cast<std::uint8_t>(group == RowGroup::four ? weight + 128 : weight);
  } else if (bytes == 2) {
    const auto narrow = static_cast<std::int16_t>(weight);
    std::memcpy(rows + 2 * at, &narrow, sizeof narrow);
  } else {
    std::memcpy(rows + 4 * at, &weight, sizeof weight);
  }
}

}  // namespace

bool ChangeLists::list(
    const std::int32_t* changes, std::int64_t channels, std::int64_t pixels, std::int64_t columns, int bytes) {
  if (bytes == 1) return list_as<std::int8_t>(changes, channels, pixels, columns);
  if (bytes == 2) return list_as<std::int16_t>(changes, channels, pixels, columns);
  return list_as<std::int32_t>(changes, channels, pixels, columns);
}

template <class Change>
bool ChangeLists::list_as(
    const std::int32_t* changes, std::int64_t channels, std::int64_t pixels, std::int64_t columns) {
  constexpr std::int32_t largest_change = std::numeric_limits<std::int16_t>::max();
  constexpr std::int32_t largest = sizeof(Change) == 1 ? std::numeric_limits<std::int8_t>::max() : largest_change;
  std::uint32_t* const found = found_.reserve(static_cast<std::size_t>(channels * pixels) + entries_more);
  const std::int64_t count = vector_kernels().list_places(changes, channels * pixels, found);
  // Entries of pixels are counted two places on and summed one place on: where pixels begin, and then where they end.
  std::uint32_t* const offsets = offsets_.reserve(static_cast<std::size_t>(pixels) + 2);
  std::memset(offsets, 0, (static_cast<std::size_t>(pixels) + 2) * sizeof *offsets);
  const auto each = [&](const auto& body) {
    std::int64_t channel = 0, end = pixels;
    for (std::int64_t i = 0; i < count; ++i) {
      for (; found[i] >= end; end += pixels) ++channel;
      body(channel, found[i] - (end - pixels), changes[found[i]]);
    }
  };
  bool fits = true;
  each([&](std::int64_t, std::int64_t pixel, std::int32_t change) {
    fits = fits && change <= largest_change && change >= -largest_change;
    const auto bits = static_cast<std::uint32_t>(change), size = change < 0 ? 0 - bits : bits;
    offsets[pixel + 2] += size <= largest ? 1 : (size + largest - 1) / largest;
  });
  size_ = 0;
  if (!fits) return false;
  for (std::int64_t pixel = 0; pixel < pixels; ++pixel) offsets[pixel + 2] += offsets[pixel + 1];
  size_ = offsets[pixels + 1];
  const std::size_t room = static_cast<std::size_t>(size_) + entries_more;
  std::uint32_t* const places = places_.reserve(room);
  auto* const numbers = reinterpret_cast<Change*>(changes_.reserve(room));
  std::uint32_t* const first_places = columns_.reserve(static_cast<std::size_t>(pixels));
  for (std::int64_t pixel = 0; pixel < pixels; ++pixel) {
    first_places[pixel] = static_cast<std::uint32_t>(pixel % columns * channels);
  }
  each([&](std::int64_t channel, std::int64_t pixel, std::int32_t change) {
    for (; change != 0; change -= std::clamp(change, -largest, largest)) {
      const std::uint32_t at = offsets[pixel + 1]++;
      places[at] = first_places[pixel] + static_cast<std::uint32_t>(channel);
      numbers[at] = static_cast<Change>(std::clamp(change, -largest, largest));
    }
  });
  return true;
}

GradedLayer::GradedLayer(const std::vector<GradedWeights>& parts)
    : channels_(parts[0].outputs), width_(width_for(channels_)), bytes_(bytes_of(parts)),
      group_(vector_kernels().row_group(width_, bytes_)) {
  if (group_ == RowGroup::two) bytes_ = 2;
  for (const GradedWeights& part : parts) {
    Part& packed = parts_.emplace_back();
    packed.inputs = part.inputs;
    packed.taps = part.taps;
    pack(part, packed);
  }
}

void GradedLayer::pack(const GradedWeights& weights, Part& part) const {
  if (weights.own) {
    for (std::int64_t tap = 0; tap < part.taps; ++tap) {
      for (std::int64_t i = 0; i < channels_; ++i) {
        part.own.push_back(static_cast<std::int32_t>(weights.weights[i * weights.output_stride + tap]));
      }
    }
    return;
  }
  std::uint8_t* const rows = part.rows.reserve(static_cast<std::size_t>(tiles() * tile_bytes(part)));
  std::int64_t at = 0;
  for (std::int64_t tile = 0; tile < tiles(); ++tile) {
    for (std::int64_t tap = 0; tap < part.taps; ++tap) {
      for (std::int64_t input = 0; input < part.inputs; ++input) {
        for (std::int64_t i = 0; i < width_; ++i, ++at) {
          const std::int64_t output = tile * width_ + (group_ == RowGroup::one ? i : channel_at(i, group_));
          const std::int64_t from = output * weights.output_stride + input * weights.input_stride + tap;
          const float weight = output < channels_ ? weights.weights[from] : 0;
          write_weight(rows, at, static_cast<std::int32_t>(weight), bytes_, group_);
        }
      }
    }
  }
}

int GradedLayer::change_bytes(const Part& part) const {
  if (!part.own.empty()) return 4;
  return group_ == RowGroup::four ? 1 : group_ == RowGroup::two ? 2 : 4;
}

bool GradedLayer::begin(const GradedRun& run, std::int64_t image, std::vector<ChangeLists>& lists) const {
  if (lists.size() < parts_.size()) lists.resize(parts_.size());  // of a layer before: more of them stay
  const std::int64_t pixels = run.inputs[0].geometry->plane_out();
  const auto size = static_cast<std::size_t>(channels_ * pixels) * sizeof *run.fired;
  std::memset(run.fired + image * channels_ * pixels, 0, size);
  bool fits = true;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const std::int64_t plane = run.inputs[i].geometry->plane_in(), inputs = parts_[i].inputs;
    const std::int32_t* const changes = run.inputs[i].changes + image * inputs * plane;
    fits &= lists[i].list(changes, inputs, plane, run.inputs[i].geometry->columns_in(), change_bytes(parts_[i]));
  }
  return fits;
}

GradedPart GradedLayer::part_of(
    const GradedRun& run, std::size_t index, const ChangeLists& lists, std::int64_t tile) const {
  const Part& part = parts_[index];
  const Geometry& geometry = *run.inputs[index].geometry;
  const Axis& axis = geometry.column_axis;
  GradedPart made{};
  made.changes = lists.entries();
  made.field = {geometry.input_lines(), geometry.line_taps, axis.kernel, axis.in, axis.stride, axis.pad, axis.dilation};
  made.channels = part.inputs;
  made.rows = part.rows.data() + tile * tile_bytes(part);
  made.own = part.own.empty() ? nullptr : part.own.data() + tile * width_;
  return made;
}

ChangeTotals GradedLayer::compute(const GradedRun& run, std::int64_t image, const std::vector<ChangeLists>& lists,
                                  std::int64_t tile, std::int64_t first, std::int64_t last) const {
  const bool all = run.begun[image] == 0;
  std::int64_t changes_of_all = 0;
  for (std::size_t i = 0; i < parts_.size(); ++i) changes_of_all += lists[i].size();
  if (!all && changes_of_all == 0) return {};
  static thread_local Scratch<std::uint32_t> rows;
  static thread_local Scratch<std::int32_t> changes;
  const Geometry& plane = *run.inputs[0].geometry;
  const std::int64_t first_channel = tile * width_;
  std::vector<GradedPart> parts;
  std::size_t most = 0;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    parts.push_back(part_of(run, i, lists[i], tile));
    most = std::max(most, static_cast<std::size_t>(lists[i].size()));
  }
  float inverse[widest];
  const int own = static_cast<int>(std::min<std::int64_t>(width_, channels_ - first_channel));
  for (int i = 0; i < own; ++i) inverse[i] = 1.0f / static_cast<float>(run.threshold[first_channel + i]);
  GradedLines lines{};
  lines.parts = parts.data();
  lines.part_count = static_cast<int>(parts.size());
  lines.scratch = {rows.reserve(most + entries_more), changes.reserve(most + entries_more)};
  lines.first_line = first;
  lines.last_line = last;
  lines.columns_out = plane.columns_out();
  lines.first_channel = first_channel;
  lines.own = own;
  lines.channels = channels_;
  lines.pixels = plane.plane_out();
  lines.v = run.v + image * lines.pixels * channels_;
  lines.counts = run.counts + image * lines.pixels * channels_;
  lines.fired = run.fired + image * lines.pixels * channels_;
  lines.threshold = run.threshold + first_channel;
  lines.inverse = inverse;
  lines.low = run.low;
  lines.high = run.high;
  lines.all = all;
  lines.fanout = run.fanout;
  lines.fanout_period = run.fanout_period;
  const std::int64_t bytes = parts_[0].own.empty() ? tile_bytes(parts_[0]) : 0;
  if (tile + 1 < tiles() && tiles() * bytes > many_weight_bytes) lines.next_tile = bytes;
  return vector_kernels().graded_lines[graded_index(group_, bytes_)][width_index(width_)](lines);
}

double GradedLayer::nanoseconds(const std::vector<ChangeLists>& lists) const {
  constexpr double products_per_nanosecond = 40;
  double products = 0;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    products += static_cast<double>(lists[i].size() * parts_[i].taps * width_ * tiles());
  }
  return products / products_per_nanosecond;
}

}  // namespace snnc::kernels
