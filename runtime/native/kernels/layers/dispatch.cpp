// Which vector unit the kernels of layers use; decided once, when the first layer asks.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "vector_kernels.hpp"

namespace snnc::kernels {

namespace portable {
extern const VectorKernels table;
}
#if defined(__x86_64__)
namespace avx2 {
extern const VectorKernels table;
}
namespace avx512 {
extern const VectorKernels table;
}
#endif

namespace {

#if defined(__x86_64__)
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
         __builtin_cpu_supports("popcnt");
}

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vbmi") &&
         __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("avx512vpopcntdq");
}
#endif

const VectorKernels& choose() {
  const char* wanted = std::getenv("SNNC_SIMD");
  const auto allowed = [&](const VectorKernels& table) {
    return wanted == nullptr || *wanted == 0 || std::strcmp(wanted, table.name) == 0;
  };
#if defined(__x86_64__)
  if (has_avx512() && allowed(avx512::table)) return avx512::table;
  if (has_avx2() && allowed(avx2::table)) return avx2::table;
#endif
  if (!allowed(portable::table)) {
    std::fprintf(stderr, "snnc operator library: SNNC_SIMD=%s is unknown here, portable is used\n", wanted);
  }
  return portable::table;
}

}  // namespace

const VectorKernels& vector_kernels() {
  static const VectorKernels& chosen = choose();
  return chosen;
}

}  // namespace snnc::kernels
