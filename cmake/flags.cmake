# How this project's own code is compiled. SPDX-License-Identifier: Apache-2.0

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 99)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
foreach(lang C CXX)
  set(CMAKE_${lang}_FLAGS_RELEASE "-O2 -g1 -DNDEBUG")
  set(CMAKE_${lang}_FLAGS_DEBUG "-O1 -g")
  set(CMAKE_${lang}_FLAGS_SANITIZE "-O1 -g1 -fno-omit-frame-pointer -DNDEBUG")
endforeach()

# scout_flags is linked by every target of this project. Contraction of a*b+c into a fused operation
# is never left to the compiler: the bits of a result are part of what the kernels promise.
add_library(scout_flags INTERFACE)
target_compile_options(scout_flags INTERFACE
  -ffp-contract=off -ffunction-sections -fdata-sections
  -Wall -Wextra -Wno-missing-field-initializers $<$<BOOL:${SCOUT_WERROR}>:-Werror>)
target_include_directories(scout_flags INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/include)

# Functions of the standard library that two translation units instantiate stay out of the dynamic
# symbol table also where they would be unique in the process.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(scout_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fno-gnu-unique>)
  # GCC 12 sees overflows inside std::string that are not there (its bugs 105329, 105651); the
  # sanitizers look for the real ones.
  target_compile_options(scout_flags INTERFACE
    -Wno-array-bounds -Wno-restrict -Wno-stringop-overflow -Wno-stringop-overread)
endif()

if(SCOUT_SANITIZE)
  set(sanitize -fsanitize=${SCOUT_SANITIZE} -fno-omit-frame-pointer)
  if(SCOUT_SANITIZE MATCHES undefined)
    list(APPEND sanitize -fno-sanitize-recover=all)
  endif()
  target_compile_options(scout_flags INTERFACE ${sanitize})
  target_link_options(scout_flags INTERFACE ${sanitize})
endif()
# Checks of pointers before each use, which AddressSanitizer makes again by their addresses. They
# take most of the time that kernels and tests need to compile; both do without, lib/ and tools/
# keep them.
set(scout_fewer_checks)
if(SCOUT_SANITIZE MATCHES undefined)
  set(scout_fewer_checks -fno-sanitize=null,object-size,pointer-overflow)
endif()
if(SCOUT_FUZZ)
  target_compile_options(scout_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

find_program(CCACHE ccache)
if(CCACHE)
  # What ccache must overlook to cache files that use a precompiled header.
  set(launcher ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${launcher})
  if(SCOUT_PCH AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(scout_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>)
  endif()
endif()
