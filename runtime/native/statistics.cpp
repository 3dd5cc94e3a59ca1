#include "statistics.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <mutex>
#include <utility>
#include <vector>

#include "kernels/layers/roofline.hpp"
#include "kernels/layers/vector_kernels.hpp"

namespace snnc {

namespace {

// Guards all records: blocks are long, and nothing is recorded unless somebody measures.
struct Records {
  std::mutex mutex;
  std::vector<NodeStatistics*> nodes;
  std::int64_t created = 0;
};

// Never destroyed: sessions may live until the very end of the process.
Records& records() {
  static auto& all = *new Records;
  return all;
}

std::int64_t next_id() {
  const std::lock_guard<std::mutex> lock(records().mutex);
  return records().created++;
}

void append_string(std::string& text, const std::string& value) {
  text += '"';
  for (const char character : value) {
    const auto code = static_cast<unsigned char>(character);
    if (code < 0x20 || character == '"' || character == '\\') {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", code);
      text += escaped;
    } else {
      text += character;
    }
  }
  text += '"';
}

void append_field(std::string& text, const char* name, std::int64_t value) {
  text += ", \"" + std::string(name) + "\": " + std::to_string(value);
}

}  // namespace

std::atomic<bool> NodeStatistics::collecting_{false};

NodeStatistics::NodeStatistics(std::string name, const RowsByPath& weights)
    : id_(next_id()), name_(std::move(name)), weights_(weights) {
  const std::lock_guard<std::mutex> lock(records().mutex);
  records().nodes.push_back(this);
}

NodeStatistics::~NodeStatistics() {
  const std::lock_guard<std::mutex> lock(records().mutex);
  auto& nodes = records().nodes;
  nodes.erase(std::find(nodes.begin(), nodes.end(), this));
}

void NodeStatistics::add(const BlockRun& run, std::chrono::nanoseconds time) {
  const std::lock_guard<std::mutex> lock(records().mutex);
  ++calls_[run.path];
  sample_steps_ += run.samples * run.steps;
  spikes_ += run.spikes;
  nanoseconds_ += time.count();
}

void NodeStatistics::clear() {
  calls_ = {};
  sample_steps_ = spikes_ = nanoseconds_ = 0;
}

void NodeStatistics::append_json(std::string& text) const {
  text += "{\"id\": " + std::to_string(id_) + ", \"name\": ";
  append_string(text, name_);
  append_field(text, "sample_steps", sample_steps_);
  append_field(text, "spikes", spikes_);
  append_field(text, "nanoseconds", nanoseconds_);
  text += ", \"kernels\": {";
  const char* separator = "";
  for (std::size_t path = 0; path < path_count; ++path) {
    if (calls_[path] == 0) continue;
    const PathRows& weights = weights_[path];
    text += separator + ("\"" + std::string(path_name(path))) + "\": {\"calls\": " + std::to_string(calls_[path]);
    append_field(text, "width", weights.width);
    append_field(text, "weight_bytes", weights.bytes);
    append_field(text, "working_set", weights.working_set);
    text += "}";
    separator = ", ";
  }
  text += "}}";
}

void NodeStatistics::collect(bool on) {
  const std::lock_guard<std::mutex> lock(records().mutex);
  if (on) {
    for (NodeStatistics* node : records().nodes) node->clear();
  }
  collecting_.store(on, std::memory_order_relaxed);
}

std::string NodeStatistics::all_as_json() {
  std::string text = "{\"vector_unit\": ";
  append_string(text, kernels::vector_kernels().name);
  text += ", \"nodes\": [";
  const std::lock_guard<std::mutex> lock(records().mutex);
  const char* separator = "";
  for (const NodeStatistics* node : records().nodes) {
    text += separator;
    node->append_json(text);
    separator = ",\n";
  }
  return text + "]}";
}

}  // namespace snnc

void snnc_collect_statistics(int on) noexcept { snnc::NodeStatistics::collect(on != 0); }

std::size_t snnc_statistics(char* buffer, std::size_t size) noexcept {
  try {
    const std::string text = snnc::NodeStatistics::all_as_json();
    if (buffer != nullptr && size > text.size()) std::memcpy(buffer, text.c_str(), text.size() + 1);
    return text.size() + 1;
  } catch (const std::exception&) {
    return 0;
  }
}

double snnc_add_stream(std::int64_t working_set, int weight_bytes, int width) noexcept {
  try {
    return snnc::kernels::measure_add_stream(working_set, weight_bytes, width);
  } catch (const std::exception&) {
    return 0;
  }
}
