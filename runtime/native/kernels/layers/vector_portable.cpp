// The kernels of layers for any CPU of the architecture that the library is compiled for.
#define SNNC_SIMD portable
#include "../simd/portable.hpp"
#include "vector_table.hpp"
