# SPDX-License-Identifier: Apache-2.0
# What is installed: the library and the SDK, the sources of their module interfaces, the header for plugins, and a CMake package.
include(CMakePackageConfigHelpers)

set(annals_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/annals)

# Both bring modules of the same names. CMake refuses a target that links the two.
set_target_properties(annals annals_sdk PROPERTIES COMPATIBLE_INTERFACE_STRING ANNALS_MODULES_COME_FROM)
set_target_properties(annals PROPERTIES INTERFACE_ANNALS_MODULES_COME_FROM library)
set_target_properties(annals_sdk PROPERTIES INTERFACE_ANNALS_MODULES_COME_FROM sdk)

install(TARGETS annals EXPORT annalsTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  FILE_SET CXX_MODULES DESTINATION ${CMAKE_INSTALL_LIBDIR}/cxx/annals)
install(TARGETS annals_plugin_abi EXPORT annalsPluginAbiTargets)
install(FILES ${PROJECT_SOURCE_DIR}/plugins/abi/annals_plugin.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/annals)
install(EXPORT annalsPluginAbiTargets NAMESPACE annals:: DESTINATION ${annals_package_dir})
install(EXPORT annalsSdkTargets NAMESPACE annals:: DESTINATION ${annals_package_dir} CXX_MODULES_DIRECTORY cxx-modules-sdk)
install(EXPORT annalsTargets NAMESPACE annals:: DESTINATION ${annals_package_dir} CXX_MODULES_DIRECTORY cxx-modules)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/annalsConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_SOURCE_DIR}/cmake/annalsConfig.cmake ${PROJECT_SOURCE_DIR}/cmake/annals_add_plugin.cmake
  ${PROJECT_SOURCE_DIR}/cmake/annals_plugin.exports ${PROJECT_BINARY_DIR}/annalsConfigVersion.cmake
  DESTINATION ${annals_package_dir})
install(FILES ${PROJECT_SOURCE_DIR}/docs/annals.schema.json DESTINATION ${CMAKE_INSTALL_DATADIR}/annals)
install(FILES ${PROJECT_SOURCE_DIR}/share/lnav/annals.json DESTINATION ${CMAKE_INSTALL_DATADIR}/annals/lnav)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/annals)
