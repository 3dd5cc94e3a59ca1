#include "graded_layer.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "../layers/vector_kernels.hpp"

namespace snnc::kernels {

namespace {

constexpr int widest = 64;
// Weights that the second-level cache does not keep from frame to frame: the next tile is fetched in time.
constexpr std::int64_t many_weight_bytes = 384 * 1024;

int width_for(std::int64_t channels) { return channels <= 16 ? 16 : channels <= 32 ? 32 : widest; }

bool fit_into_bytes(const GradedWeights& part) {
  const std::int64_t size = part.outputs * part.inputs * part.taps;
  return part.own || std::all_of(part.weights, part.weights + size, [](float weight) {
           return std::fabs(weight) <= std::numeric_limits<std::int8_t>::max();
         });
}

}  // namespace

bool ChangeLists::list(const std::int32_t* changes, std::int64_t channels, std::int64_t pixels, std::int64_t columns) {
  constexpr std::int64_t vector_more = 16;
  const auto most = static_cast<std::size_t>((channels + 1) / 2 * pixels + vector_more);
  ListChanges list{changes, channels, pixels, placed_.reserve(most), nullptr};
  std::uint32_t* const offsets = offsets_.reserve(static_cast<std::size_t>(pixels) + 2);
  std::memset(offsets, 0, (static_cast<std::size_t>(pixels) + 2) * sizeof *offsets);
  // Counted two places on, summed one place on: where pixels begin, and after placing where they end.
  list.counts = offsets + 2;
  size_ = vector_kernels().list_changes(list);
  if (size_ < 0) return false;
  for (std::int64_t pixel = 0; pixel < pixels; ++pixel) offsets[pixel + 2] += offsets[pixel + 1];
  PairChange* const entries = entries_.reserve(static_cast<std::size_t>(size_));
  std::uint32_t* const places = places_.reserve(static_cast<std::size_t>(pixels));
  const auto pairs = static_cast<std::uint32_t>((channels + 1) / 2);
  for (std::int64_t first = 0; first < pixels; first += columns) {
    for (std::int64_t column = 0; column < columns; ++column) {
      places[first + column] = static_cast<std::uint32_t>(column) * pairs;
    }
  }
  for (std::int64_t i = 0; i < size_; ++i) {
    const PlacedChange& from = list.to[i];
    entries[offsets[from.pixel + 1]++] = {places[from.pixel] + from.pair, {from.changes[0], from.changes[1]}};
  }
  return true;
}

GradedLayer::GradedLayer(const std::vector<GradedWeights>& parts)
    : channels_(parts[0].outputs), width_(width_for(channels_)), bytes_(1) {
  for (const GradedWeights& part : parts) bytes_ = fit_into_bytes(part) ? bytes_ : 2;
  for (const GradedWeights& part : parts) {
    Part& packed = parts_.emplace_back();
    packed.inputs = part.inputs;
    packed.taps = part.taps;
    packed.pairs = (part.inputs + 1) / 2;
    pack(part, packed);
  }
}

void GradedLayer::pack(const GradedWeights& weights, Part& part) const {
  if (weights.own) {
    for (std::int64_t i = 0; i < channels_; ++i) part.own.push_back(static_cast<std::int32_t>(weights.weights[i]));
    return;
  }
  const std::int64_t size = tiles() * part.taps * part.pairs * width_ * 2;
  std::int8_t* const rows = part.rows.reserve(static_cast<std::size_t>(size * bytes_));
  std::int64_t at = 0;
  for (std::int64_t tile = 0; tile < tiles(); ++tile) {
    for (std::int64_t tap = 0; tap < part.taps; ++tap) {
      for (std::int64_t pair = 0; pair < part.pairs; ++pair) {
        for (std::int64_t i = 0; i < 2 * width_; ++i, ++at) {
          const std::int64_t output = tile * width_ + i / 2, input = 2 * pair + i % 2;
          const bool there = output < channels_ && input < weights.inputs;
          const float weight =
              there ? weights.weights[output * weights.output_stride + input * weights.input_stride + tap] : 0;
          if (bytes_ == 1) {
            rows[at] = static_cast<std::int8_t>(weight);
          } else {
            const auto wide = static_cast<std::int16_t>(weight);
            std::memcpy(rows + 2 * at, &wide, sizeof wide);
          }
        }
      }
    }
  }
}

bool GradedLayer::begin(const GradedRun& run, std::int64_t image, std::vector<ChangeLists>& lists) const {
  lists.resize(parts_.size());
  const std::int64_t pixels = run.inputs[0].geometry->plane_out();
  std::memset(run.fired + image * channels_ * pixels, 0, static_cast<std::size_t>(channels_ * pixels) * sizeof *run.fired);
  bool fits = true;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const std::int64_t plane = run.inputs[i].geometry->plane_in();
    const std::int64_t sample = parts_[i].inputs * plane;
    fits &= lists[i].list(run.inputs[i].changes + image * sample, parts_[i].inputs, plane,
                          run.inputs[i].geometry->columns_in());
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
  made.tile = {part.rows.data() + tile * part.taps * part.pairs * width_ * 2 * bytes_, part.pairs};
  made.weights = part.own.empty() ? nullptr : part.own.data() + tile * width_;
  return made;
}

void GradedLayer::compute(const GradedRun& run, std::int64_t image, const std::vector<ChangeLists>& lists,
                          std::int64_t tile, std::int64_t first, std::int64_t last) const {
  const bool all = run.begun[image] == 0;
  if (!all && std::all_of(lists.begin(), lists.end(), [](const ChangeLists& list) { return list.size() == 0; })) return;
  const Geometry& plane = *run.inputs[0].geometry;
  const std::int64_t first_channel = tile * width_;
  std::vector<GradedPart> parts;
  for (std::size_t i = 0; i < parts_.size(); ++i) parts.push_back(part_of(run, i, lists[i], tile));
  float inverse[widest];
  const int own = static_cast<int>(std::min<std::int64_t>(width_, channels_ - first_channel));
  for (int i = 0; i < own; ++i) inverse[i] = 1.0f / static_cast<float>(run.threshold[first_channel + i]);
  GradedLines lines{};
  lines.parts = parts.data();
  lines.part_count = static_cast<int>(parts.size());
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
  const std::int64_t tile_bytes = parts_[0].taps * parts_[0].pairs * width_ * 2 * bytes_;
  if (tile + 1 < tiles() && tiles() * tile_bytes > many_weight_bytes) lines.next_tile = tile_bytes;
  vector_kernels().graded_lines[bytes_ == 1 ? 0 : 1][width_index(width_)](lines);
}

double GradedLayer::nanoseconds(const std::vector<ChangeLists>& lists) const {
  constexpr double products_per_nanosecond = 40;
  double products = 0;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    products += static_cast<double>(lists[i].size() * parts_[i].taps * 2 * width_ * tiles());
  }
  return products / products_per_nanosecond;
}

}  // namespace snnc::kernels
