# abseil, protobuf, nlohmann-json. SPDX-License-Identifier: Apache-2.0
#
# The library links abseil and protobuf statically and hides them, so that a host with another copy
# is safe. The distribution's static archives are not position-independent, so both are built from
# its source packages, once (scripts/build_deps; cached in build/deps or $SCOUT_DEPS_DIR).
# SCOUT_SYSTEM_DEPS takes the distribution's shared libraries instead: quicker to set up, but the
# resulting libscout.so is for development only.

find_package(Threads REQUIRED)
find_package(nlohmann_json REQUIRED)
find_program(PROTOC protoc REQUIRED)

if(SCOUT_SYSTEM_DEPS)
  find_package(absl REQUIRED CONFIG)
  find_package(Protobuf MODULE REQUIRED)
  add_library(scout_absl INTERFACE)  # the same list as in cmake/deps/CMakeLists.txt
  target_link_libraries(scout_absl INTERFACE
    absl::status absl::statusor absl::strings absl::str_format absl::cord absl::span
    absl::flat_hash_map absl::flat_hash_set absl::hash absl::cleanup absl::inlined_vector
    absl::int128)
  add_library(scout_protobuf INTERFACE)
  target_link_libraries(scout_protobuf INTERFACE protobuf::libprotobuf)
else()
  # Kept, so that a later configuration without the variable takes the same.
  if(DEFINED ENV{SCOUT_DEPS_DIR})
    set(SCOUT_DEPS_DIR "$ENV{SCOUT_DEPS_DIR}" CACHE PATH "Where abseil and protobuf are built" FORCE)
  else()
    set(SCOUT_DEPS_DIR "" CACHE PATH "Where abseil and protobuf are built; empty: build/deps")
  endif()
  set(deps_command ${CMAKE_COMMAND} -E env SCOUT_DEPS_DIR=${SCOUT_DEPS_DIR}
      ${PROJECT_SOURCE_DIR}/scripts/build_deps)
  if(SCOUT_SANITIZE STREQUAL "thread")
    list(APPEND deps_command --sanitize thread)  # else its atomics look like races
  endif()
  execute_process(COMMAND ${deps_command} --print-prefix
                  OUTPUT_VARIABLE deps_prefix OUTPUT_STRIP_TRAILING_WHITESPACE
                  COMMAND_ERROR_IS_FATAL ANY)
  if(NOT EXISTS ${deps_prefix}/complete)
    execute_process(COMMAND ${deps_command} COMMAND_ERROR_IS_FATAL ANY)
  endif()
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
               ${PROJECT_SOURCE_DIR}/scripts/build_deps)
  # Another copy of these headers may lie in /usr/include: ours come first.
  add_library(scout_absl STATIC IMPORTED)
  set_target_properties(scout_absl PROPERTIES
    IMPORTED_LOCATION ${deps_prefix}/lib/libabsl.a
    INTERFACE_INCLUDE_DIRECTORIES ${deps_prefix}/include
    INTERFACE_LINK_LIBRARIES Threads::Threads)
  add_library(scout_protobuf STATIC IMPORTED)
  set_target_properties(scout_protobuf PROPERTIES
    IMPORTED_LOCATION ${deps_prefix}/lib/libprotobuf.a
    INTERFACE_INCLUDE_DIRECTORIES ${deps_prefix}/include
    INTERFACE_LINK_LIBRARIES Threads::Threads)
endif()
