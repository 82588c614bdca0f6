# SPDX-License-Identifier: Apache-2.0
# What is installed: the library, the sources of its public module interfaces, and a CMake package.
include(CMakePackageConfigHelpers)

set(annals_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/annals)

install(TARGETS annals EXPORT annalsTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  FILE_SET CXX_MODULES DESTINATION ${CMAKE_INSTALL_LIBDIR}/cxx/annals)
install(EXPORT annalsTargets NAMESPACE annals:: DESTINATION ${annals_package_dir} CXX_MODULES_DIRECTORY cxx-modules)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/annalsConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_SOURCE_DIR}/cmake/annalsConfig.cmake ${PROJECT_BINARY_DIR}/annalsConfigVersion.cmake
  DESTINATION ${annals_package_dir})
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/annals)
