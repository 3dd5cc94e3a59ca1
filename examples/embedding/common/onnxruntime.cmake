# The target `onnxruntime`, from one of two things:
#   -DONNXRUNTIME_ROOT=DIR      onnxruntime's C package: include/ with its headers, lib/ with the shared library
#   -DONNXRUNTIME_LIBRARY=FILE  the shared library alone, as in the Python package (capi/libonnxruntime.so.VERSION)

set(ONNXRUNTIME_ROOT "" CACHE PATH "onnxruntime's C package, with include/ and lib/")
set(ONNXRUNTIME_LIBRARY "" CACHE FILEPATH "onnxruntime's shared library, where there is no C package")

if(ONNXRUNTIME_ROOT)
  find_path(ONNXRUNTIME_HEADERS onnxruntime_c_api.h REQUIRED NO_DEFAULT_PATH PATHS "${ONNXRUNTIME_ROOT}/include"
    PATH_SUFFIXES onnxruntime onnxruntime/core/session)
  find_library(ONNXRUNTIME_SHARED onnxruntime REQUIRED NO_DEFAULT_PATH PATHS "${ONNXRUNTIME_ROOT}" PATH_SUFFIXES lib lib64)
elseif(EXISTS "${ONNXRUNTIME_LIBRARY}")
  set(ONNXRUNTIME_HEADERS "${CMAKE_CURRENT_LIST_DIR}/onnxruntime")
  # The wheel has the library under its full version only; programs ask the loader for it by its major version.
  set(ONNXRUNTIME_SHARED "${CMAKE_BINARY_DIR}/libonnxruntime.so.1")
  file(CREATE_LINK "${ONNXRUNTIME_LIBRARY}" "${ONNXRUNTIME_SHARED}" SYMBOLIC)
else()
  message(FATAL_ERROR "give -DONNXRUNTIME_ROOT=DIR or -DONNXRUNTIME_LIBRARY=FILE, a file that exists")
endif()

add_library(onnxruntime SHARED IMPORTED)
set_target_properties(onnxruntime PROPERTIES IMPORTED_LOCATION "${ONNXRUNTIME_SHARED}")
target_include_directories(onnxruntime SYSTEM INTERFACE "${ONNXRUNTIME_HEADERS}")

# What both hosts share: .npy files, and the states of a file of the schedule stream.
add_library(host_files STATIC
  "${CMAKE_CURRENT_LIST_DIR}/error.c" "${CMAKE_CURRENT_LIST_DIR}/json.c"
  "${CMAKE_CURRENT_LIST_DIR}/npy.c" "${CMAKE_CURRENT_LIST_DIR}/states.c")
target_include_directories(host_files PUBLIC "${CMAKE_CURRENT_LIST_DIR}")
target_link_libraries(host_files PUBLIC onnxruntime)
target_compile_options(host_files PRIVATE -Wall -Wextra -Wpedantic)
set_target_properties(host_files PROPERTIES C_STANDARD 11 C_EXTENSIONS OFF)
