// The onnxruntime custom-op library of snnc: domain ai.snnc, operators of docs/ops.md.
//
// To add an operator: a kernel in kernels/ (no onnxruntime in it), a struct in ops/, and its name in `Domain` below.

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <list>
#include <mutex>
#include <stdexcept>
#include <string>
#include <tuple>

#include "ops/graded_layer.hpp"
#include "ops/graded_pools.hpp"
#include "ops/neurons.hpp"
#include "ops/spike_counts.hpp"
#include "ops/spike_encode.hpp"
#include "ops/spike_max_pool.hpp"
#include "ops/spike_product.hpp"
#include "ops/spike_readout.hpp"
#include "ops/spike_unpack.hpp"
#include "ops/spiking_conv.hpp"
#include "ops/spiking_gemm.hpp"
#include "ops/staircase.hpp"
#include "ort_operator.hpp"

namespace snnc {
namespace {

constexpr const char* domain_name = "ai.snnc";
constexpr const char* library_name = "snnc operator library";

// The operators as one copy of onnxruntime in this process sees them; shared by all its sessions.
template <class... Ops>
class DomainOf {
 public:
  explicit DomainOf(const OrtApi* api) : api_(api), operators_(ort::CustomOp<Ops>(api)...) {
    ort::check(ort::CreateCustomOpDomain(api, domain_name, &domain_));
    try {
      std::apply([&](const auto&... op) { (ort::check(ort::CustomOpDomain_Add(api, domain_, &op)), ...); }, operators_);
    } catch (...) {
      ort::ReleaseCustomOpDomain(api, domain_);
      throw;
    }
  }

  DomainOf(const DomainOf&) = delete;
  DomainOf& operator=(const DomainOf&) = delete;

  const OrtApi* api() const { return api_; }
  void add_to(OrtSessionOptions* options) const { ort::check(ort::AddCustomOpDomain(api_, options, domain_)); }

 private:
  const OrtApi* api_;
  std::tuple<ort::CustomOp<Ops>...> operators_;
  OrtCustomOpDomain* domain_ = nullptr;
};

using Domain =
    DomainOf<ops::PoissonEncode, ops::SpikeEncode, ops::SpikeUnpack, ops::RMP, ops::IF, ops::Staircase,
             ops::StaircaseTable, ops::StaircaseCharge, ops::SpikeMaxPool, ops::SpikeProduct, ops::SpikingConv,
             ops::SpikingConvAdd,
             ops::SpikingGemm, ops::StaircaseConv, ops::StaircaseConvAdd, ops::StaircaseGemm, ops::SpikeReadout1,
             ops::SpikeReadout, ops::SpikeCount, ops::SpikeTotals, ops::LastSpike, ops::GradedConv, ops::GradedConvAdd,
             ops::GradedGemm, ops::GradedSumPool, ops::GradedMaxPool, ops::GradedTotals>;

// The domain for this function table, created on first use and never destroyed: sessions may live until the very end
// of the process, and they hold pointers into it.
Domain& domain_of(const OrtApi* api) {
  static std::mutex mutex;
  static auto& domains = *new std::list<Domain>;
  const std::lock_guard<std::mutex> lock(mutex);
  for (Domain& domain : domains) {
    if (domain.api() == api) return domain;
  }
  return domains.emplace_back(api);
}

// Whether a status goes through the table unharmed. Without that not even an error can be reported.
bool statuses_work(const OrtApi* api) {
  constexpr int code = static_cast<int>(ort::ErrorCode::invalid_argument);
  OrtStatus* status = ort::CreateStatus(api, code, library_name);
  if (status == nullptr) return false;
  const bool same =
      ort::GetErrorCode(api, status) == code && std::strcmp(ort::GetErrorMessage(api, status), library_name) == 0;
  ort::ReleaseStatus(api, status);
  return same;
}

// Sends a shape through the table; throws if it comes back changed: then the slot numbers are not this onnxruntime's.
void check_shapes_work(const OrtApi* api) {
  const ort::Shape shape{2, 3, 5};
  const auto type = ort::ElementType::uint64;
  const ort::OwnedShapeInfo info = ort::make_shape_info(api, type, shape);
  if (ort::read_shape(api, info.get()) != shape || ort::read_type(api, info.get()) != type) {
    throw std::runtime_error("the function table of this onnxruntime is not the one this library was written for");
  }
}

// The oldest function table has what an error status needs.
OrtStatus* too_old(const OrtApiBase* base) {
  constexpr std::uint32_t oldest_version = 1;
  const std::string problem =
      std::string("onnxruntime ") + base->GetVersionString() + " is too old, needs 1.17 or newer";
  const OrtApi* oldest = base->GetApi(oldest_version);
  if (oldest != nullptr && statuses_work(oldest)) {
    return ort::make_status(oldest, ort::ErrorCode::fail, library_name, problem.c_str());
  }
  std::fprintf(stderr, "%s: %s\n", library_name, problem.c_str());
  return nullptr;
}

}  // namespace
}  // namespace snnc

// The entry point that onnxruntime looks up in a custom-op library. May be called for any number of sessions, also at
// the same time.
SNNC_EXPORT OrtStatus* RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) noexcept {
  using namespace snnc;
  const OrtApi* api = base->GetApi(ort::api_version);
  if (api == nullptr) return too_old(base);
  if (!statuses_work(api)) {
    // Nothing is registered: the operators' ONNX functions are used instead, where the model has them.
    std::fprintf(stderr, "%s: unknown function table in onnxruntime %s\n", library_name, base->GetVersionString());
    return nullptr;
  }
  return ort::as_status(api, library_name, [&] {
    check_shapes_work(api);
    domain_of(api).add_to(options);
  });
}
