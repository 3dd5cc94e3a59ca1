// Output-stationary: the weights that the events of a pixel's field choose are summed in registers.
#pragma once

#include <cstring>

#include "neuron_steps.hpp"
#include "row_sums.hpp"

namespace snnc::kernels::SNNC_SIMD {

// Lists are written once and read soon: fetching their cache lines ahead hides that they were last used long ago.
constexpr int bytes_ahead = 512;

// The fields of `line` are copied first: the compiler cannot know that entries do not overwrite them.
template <class Entry>
std::int64_t list_line(const ListLine& line) {
  const ListWord* const words = line.words;
  const std::int64_t columns = line.columns, step_stride = line.step_stride;
  const std::int32_t* const order = line.column_order;
  const std::int32_t* const steps_of_column = line.column_steps;
  const u32 channel_rows = line.channel_rows;
  const int word_count = line.word_count, steps = line.steps;
  Entry* const entries = static_cast<Entry*>(line.entries);
  u32* starts = line.starts;
  Entry* end = entries;
  for (int step = 0; step < steps; ++step) {
    for (std::int64_t place = 0; place < columns; ++place) {
      *starts++ = static_cast<u32>(end - entries);
      __builtin_prefetch(reinterpret_cast<const char*>(end) + bytes_ahead, 1);
      const std::int64_t offset = step * step_stride + order[place];
      const auto column_row = static_cast<u32>(steps_of_column[place]);
      for (int i = 0; i < word_count; ++i) {
        end += Simd::list_events(words[i].bits[offset], words[i].base + column_row, channel_rows, end);
      }
    }
    *starts++ = static_cast<u32>(end - entries);
  }
  return end - entries;
}

// Numbers of four rows: of `left` (0 to 4) entries, then `otherwise`. Four are read.
inline void load_four(const std::uint16_t* from, std::int64_t left, std::int64_t otherwise, std::int64_t (&rows)[4]) {
  u64 four;
  std::memcpy(&four, from, sizeof four);
  const u64 there = Simd::low_bits(static_cast<u64>(16 * left));
  four = (four & there) | (static_cast<u64>(otherwise) * 0x0001000100010001 & ~there);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) rows[i] = static_cast<std::uint16_t>(four >> 16 * i);
}

inline void load_four(const u32* from, std::int64_t left, std::int64_t otherwise, std::int64_t (&rows)[4]) {
  for (int i = 0; i < 4; ++i) rows[i] = i < left ? from[i] : otherwise;
}

// A source as seen from one output column: entries count rows from column 0 of the plane.
template <class Weight, int width, class Entry>
struct ColumnSource {
  using Row = Weight;
  static constexpr std::int64_t row_bytes = width * sizeof(Weight);
  const Entry* entries;
  const u32* first;  // of the events in the field, by step
  const u32* last;
  std::int64_t starts_stride, at_once, whole_at_once;
  std::uintptr_t rows;
  std::int64_t no_row;  // number of the row of zeros

  ColumnSource() = default;
  ColumnSource(const GatherSource& source, std::int64_t column)
      : entries(static_cast<const Entry*>(source.entries)),
        first(source.starts + source.fields[column].first),
        last(source.starts + source.fields[column].last),
        starts_stride(source.starts_stride),
        at_once(source.rows_at_once),
        whole_at_once(source.rows_at_once / rows_at_a_time * rows_at_a_time) {
    const std::int64_t shift = source.fields[column].shift;
    rows = reinterpret_cast<std::uintptr_t>(source.rows) - static_cast<std::uintptr_t>(shift * row_bytes);
    no_row = source.row_count + shift;
  }

  const Entry* begin(int step) const { return entries + first[step * starts_stride]; }
  const Entry* end(int step) const { return entries + last[step * starts_stride]; }
  const Weight* row(std::int64_t number) const {
    return reinterpret_cast<const Weight*>(rows + static_cast<std::uintptr_t>(number * row_bytes));
  }

  // Adds four rows. Of `left` (0 to 4) events the others are rows of zeros: how many are left cannot be predicted.
  template <class Sums>
  void add_four(Sums& sums, const Entry* from, std::int64_t left) const {
    std::int64_t numbers[4];
    load_four(from, left, no_row, numbers);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) sums.add(row(numbers[i]));
  }

  template <class Sums>
  void add_events(Sums& sums, const Entry* from, const Entry* to) const {
    for (; to - from > 4; from += 4) add_four(sums, from, 4);
    add_four(sums, from, to - from);
  }
};

template <class Weight, int width, bool narrow>
inline void store_sums(const RowSums<Weight, width, narrow>& sums, std::int32_t* currents) {
  constexpr int vectors = width / Simd::lanes;
  Simd::Vector total[vectors];
  for (auto& vector : total) vector = Simd::broadcast(0);
  sums.add_to(total);
#pragma GCC unroll 16
  for (int i = 0; i < vectors; ++i) Simd::store(currents + i * Simd::lanes, total[i]);
}

// Of any number of sources, and with more events than sums of 16 bits hold: these are widened in between.
template <bool narrow, int width, class Source>
__attribute__((noinline)) void sum_parts(const Source* sources, int source_count, int step, std::int32_t* currents) {
  RowSums<std::int32_t, width, false> total;
  total.clear();
  for (int i = 0; i < source_count; ++i) {
    const Source& source = sources[i];
    const auto* const to = source.end(step);
    for (const auto* from = source.begin(step); from < to;) {
      RowSums<typename Source::Row, width, narrow> sums;
      sums.clear();
      const auto* const end = narrow && to - from > source.at_once ? from + source.whole_at_once : to;
      source.add_events(sums, from, end);
      sums.add_to(total.v);
      from = end;
    }
  }
  store_sums(total, currents);
}

// The currents of a pixel in a step, [width].
template <bool narrow, int width, class Source>
inline void sum_step(const Source* sources, int source_count, int step, std::int32_t* currents) {
  if (source_count != 1) return sum_parts<narrow, width>(sources, source_count, step, currents);
  const auto* const from = sources[0].begin(step);
  const auto* const to = sources[0].end(step);
  if (narrow && to - from > sources[0].at_once) return sum_parts<narrow, width>(sources, 1, step, currents);
  RowSums<typename Source::Row, width, narrow> sums;
  sums.clear();
  sources[0].add_events(sums, from, to);
  store_sums(sums, currents);
}

// Fetches memory into the second-level cache, a little at each step.
class Ahead {
 public:
  explicit Ahead(const GatherLine& line)
      : next_(line.ahead), end_(line.ahead + line.ahead_bytes),
        per_step_(line.ahead_bytes / (line.neurons.columns * line.neurons.steps * bytes_of_cache_line) + 1) {}

  void fetch() {
    for (std::int64_t i = 0; i < per_step_ && next_ < end_; ++i, next_ += bytes_of_cache_line) {
      __builtin_prefetch(next_, 0, 2);
    }
  }

 private:
  static constexpr std::int64_t bytes_of_cache_line = 64;
  const char *next_, *end_;
  std::int64_t per_step_;
};

template <class Weight, bool narrow, int width, class Entry>
void gather_line(const GatherLine& line) {
  using Source = ColumnSource<Weight, width, Entry>;
  constexpr int chunk = 16;
  const int steps = line.neurons.steps;
  if (steps == 0) return;
  Ahead ahead(line);
  alignas(64) std::int32_t currents[chunk * width];
  for (std::int64_t column = 0; column < line.neurons.columns; ++column) {
    Source sources[2];
    for (int i = 0; i < line.source_count; ++i) sources[i] = Source(line.sources[i], column);
    for (int first = 0; first < steps; first += chunk) {
      const int last = first + chunk < steps ? first + chunk : steps;
      for (int step = first; step < last; ++step) {
        ahead.fetch();
        sum_step<narrow, width>(sources, line.source_count, step, currents + (step - first) * width);
      }
      line.fire(line.neurons, {first, last, currents, width}, column);
    }
  }
}

}  // namespace snnc::kernels::SNNC_SIMD
