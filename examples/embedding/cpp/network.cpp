#include "network.hpp"

#include <algorithm>
#include <memory>
#include <stdexcept>

namespace {

constexpr std::int64_t frame_block = 16;  // steps; any number from 1 to 64 gives the same results

template <class CountOf, class NameOf>
std::vector<std::string> read_names(const OrtSession* session, CountOf count_of, NameOf name_of) {
  std::size_t count = 0;
  ort::check(count_of(session, &count));
  std::vector<std::string> names;
  for (std::size_t index = 0; index < count; ++index) {
    char* name = nullptr;
    ort::check(name_of(session, index, ort::allocator(), &name));
    names.push_back(ort::take_text(name));
  }
  return names;
}

std::vector<std::int64_t> read_shape(const OrtSession* session) {
  const auto type = ort::make<ort::TypeInfo>(ort::api().SessionGetInputTypeInfo, session, std::size_t{0});
  const OrtTensorTypeAndShapeInfo* info = nullptr;
  ort::check(ort::api().CastTypeInfoToTensorInfo(type.get(), &info));
  if (info == nullptr) throw std::runtime_error("the first input of the file is no tensor");
  std::size_t rank = 0;
  ort::check(ort::api().GetDimensionsCount(info, &rank));
  std::vector<std::int64_t> shape(rank);
  ort::check(ort::api().GetDimensions(info, shape.data(), rank));
  return shape;
}

ort::Session make_session(const OrtEnv* env, const std::string& path, const std::optional<std::string>& library) {
  const auto options = ort::make<ort::SessionOptions>(ort::api().CreateSessionOptions);
  // onnxruntime warns of optional inputs at every start; errors come as statuses, and need not be printed too
  ort::check(ort::api().SetSessionLogSeverityLevel(options.get(), ORT_LOGGING_LEVEL_FATAL));
  if (library) ort::check(ort::api().RegisterCustomOpsLibrary_V2(options.get(), library->c_str()));
  return ort::make<ort::Session>(ort::api().CreateSession, env, path.c_str(), options.get());
}

std::string look_up(const OrtModelMetadata* metadata, const char* key) {
  char* text = nullptr;
  ort::check(ort::api().ModelMetadataLookupCustomMetadataMap(metadata, ort::allocator(), key, &text));
  return ort::take_text(text);
}

// Writes the values before the first step, or zeros.
void write_start(const State& state, std::int64_t samples, bool zeros, OrtValue* value) {
  const auto write = [&](auto* data) {
    using Element = std::remove_pointer_t<decltype(data)>;
    for (std::size_t i = 0; i < static_cast<std::size_t>(samples) * state.size; ++i) {
      data[i] = zeros ? Element{0} : static_cast<Element>(state.start[i % state.size]);
    }
  };
  if (state.type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32) {
    write(ort::data_of<std::int32_t>(value));
  } else {
    write(ort::data_of<std::int64_t>(value));
  }
}

}  // namespace

// Names and values of what is fed, and the scalars among them.
struct Network::Feeds {
  std::vector<const char*> names;
  std::vector<const OrtValue*> values;
  std::vector<ort::Value> owned;
  std::vector<std::unique_ptr<std::int64_t>> numbers;

  void add(const char* name, const OrtValue* value) {
    names.push_back(name);
    values.push_back(value);
  }

  void add_images(const char* name, const Batch& images) {
    owned.push_back(ort::wrap(images.data, images.size, images.shape));
    add(name, owned.back().get());
  }

  void add_scalar(const char* name, std::int64_t number) {
    numbers.push_back(std::make_unique<std::int64_t>(number));
    owned.push_back(ort::wrap(numbers.back().get(), 1, {}));
    add(name, owned.back().get());
  }
};

Network::Network(const std::string& path, const std::optional<std::string>& library)
    : env_(ort::make<ort::Env>(ort::api().CreateEnv, ORT_LOGGING_LEVEL_FATAL, "host")),
      session_(make_session(env_.get(), path, library)),
      states_(nullptr, [](States* states) {
        states_free(states);
        delete states;
      }) {
  const OrtApi& api = ort::api();
  read_metadata(path);
  inputs_ = read_names(session_.get(), api.SessionGetInputCount, api.SessionGetInputName);
  optional_ = read_names(
      session_.get(), api.SessionGetOverridableInitializerCount, api.SessionGetOverridableInitializerName);
  outputs_ = read_names(session_.get(), api.SessionGetOutputCount, api.SessionGetOutputName);
  shape_ = read_shape(session_.get());
}

bool Network::has(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

void Network::read_metadata(const std::string& path) {
  const auto metadata = ort::make<ort::Metadata>(ort::api().SessionGetModelMetadata, session_.get());
  const std::string states = look_up(metadata.get(), "snnc.states"), options = look_up(metadata.get(), "snnc.options");
  if (states.empty() || options.empty()) throw std::runtime_error(path + ": is no network converted by snnc");
  Error error{};
  states_.reset(new States{});
  if (!states_read(states.c_str(), options.c_str(), states_.get(), &error)) throw std::runtime_error(error.text);
}

Results Network::call(Feeds& feeds, const std::vector<OrtValue*>& given) const {
  std::vector<const char*> names;
  for (const std::string& name : outputs_) names.push_back(name.c_str());
  std::vector<OrtValue*> values = given;  // where one is null, onnxruntime makes a tensor
  ort::check(ort::api().Run(
      session_.get(), nullptr, feeds.names.data(), feeds.values.data(), feeds.values.size(), names.data(), names.size(),
      values.data()));
  Results results;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (given[i] == nullptr) results.owned.emplace_back(values[i]);
    results.outputs.emplace_back(outputs_[i], values[i]);
  }
  return results;
}

Results Network::run(
    const Batch& images, std::optional<std::int64_t> steps, std::optional<std::int64_t> seed) const {
  const std::pair<const char*, std::optional<std::int64_t>> controls[] = {
      {"steps", steps}, {"seed", seed}, {"first_sample", std::nullopt}};
  check_steps(steps);
  Feeds feeds;
  feeds.add_images(inputs_[0].c_str(), images);
  for (const auto& [name, value] : controls) {
    const bool required = has(inputs_, name);
    if (value && !required && !has(optional_, name)) throw std::runtime_error(std::string(name) + " is fixed in this file");
    if (required && !value && std::string(name) == "steps") {
      throw std::runtime_error("the file has no default for steps: give --steps");
    }
    if (required || value) feeds.add_scalar(name, value.value_or(0));
  }
  return call(feeds, std::vector<OrtValue*>(outputs_.size()));
}

void Network::check_steps(std::optional<std::int64_t> steps) const {
  if (steps && (*steps < 1 || *steps > states_->max_steps)) {
    throw std::runtime_error("steps must be from 1 to " + std::to_string(states_->max_steps));
  }
}

ort::Value Network::make_state(const State& state, std::int64_t samples) const {
  std::vector<std::int64_t> shape{samples};
  shape.insert(shape.end(), state.dims, state.dims + state.rank);
  auto value = ort::make<ort::Value>(
      ort::api().CreateTensorAsOrtValue, ort::allocator(), shape.data(), shape.size(), state.type);
  write_start(state, samples, false, value.get());
  return value;
}

Carried Network::start(std::int64_t samples) const {
  Carried carried;
  for (std::size_t i = 0; i < states_->count; ++i) {
    carried.now.push_back(make_state(states_->items[i], samples));
    carried.next.push_back(make_state(states_->items[i], samples));
  }
  return carried;
}

// One block: states from `now` to `next`, then these change places. Potentials are not among the results.
Results Network::run_block(
    const Batch& images, std::int64_t seed, std::int64_t first_step, std::int64_t count, Carried& carried) const {
  const std::pair<const char*, std::int64_t> controls[] = {
      {"seed", seed}, {"first_sample", 0}, {"first_step", first_step}, {"count", count}};
  Feeds feeds;
  feeds.add_images(inputs_[0].c_str(), images);
  for (const auto& [name, value] : controls) {
    if (has(inputs_, name) || has(optional_, name)) feeds.add_scalar(name, value);
  }
  std::vector<OrtValue*> given(outputs_.size());
  std::vector<std::string> hidden;
  for (std::size_t i = 0; i < states_->count; ++i) {
    const State& state = states_->items[i];
    const auto output = std::find(outputs_.begin(), outputs_.end(), state.next);
    if (!has(inputs_, state.name) || output == outputs_.end()) {
      throw std::runtime_error(std::string("the file has no input or no output for the state ") + state.name);
    }
    feeds.add(state.name, carried.now[i].get());
    given[static_cast<std::size_t>(output - outputs_.begin())] = carried.next[i].get();
    if (!state.is_count) hidden.push_back(state.next);
  }
  Results results = call(feeds, given);
  std::swap(carried.now, carried.next);
  auto& outputs = results.outputs;
  outputs.erase(
      std::remove_if(outputs.begin(), outputs.end(), [&](const auto& entry) { return has(hidden, entry.first); }),
      outputs.end());
  return results;
}

Results Network::run_blocks(
    const Batch& images, std::optional<std::int64_t> steps, std::optional<std::int64_t> seed, Carried& carried) const {
  if (!steps) throw std::runtime_error("a file of the schedule stream runs as long as its host says: give --steps");
  if (seed && !has(inputs_, "seed")) throw std::runtime_error("seed is fixed in this file");
  check_steps(steps);
  Results results;
  for (std::int64_t step = 0; step < *steps; step += LONGEST_BLOCK) {
    results = run_block(images, seed.value_or(0), step, std::min<std::int64_t>(LONGEST_BLOCK, *steps - step), carried);
  }
  return results;
}

Results Network::run_frame(const Batch& frames, Carried& carried) const {
  for (std::size_t i = 0; i < states_->count; ++i) {  // spikes, operations and steps are counted frame by frame
    if (states_->items[i].is_count) write_start(states_->items[i], frames.shape[0], true, carried.now[i].get());
  }
  for (std::int64_t step = 0; step < states_->max_steps;) {
    const std::int64_t count = std::min(frame_block, states_->max_steps - step);
    Results results = run_block(frames, 0, step, count, carried);
    step += count;
    const auto used = std::find_if(results.outputs.begin(), results.outputs.end(), [](const auto& entry) {
      return entry.first == "steps_used";
    });
    if (used == results.outputs.end()) throw std::runtime_error("the file does not say how many steps it used");
    const auto* last = ort::data_of<std::int64_t>(used->second);
    if (std::all_of(last, last + frames.shape[0], [&](std::int64_t own) { return own < step; })) return results;
  }
  throw std::runtime_error("the network is not quiet after all its steps");
}
